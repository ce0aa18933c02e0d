"""The ambassador: every connection in and out of the app, with policy. Decisions are pure code, given the time; the data path carries them out."""
