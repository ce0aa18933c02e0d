// A service as one is written for systemd, with the package sd-notify. It knows nothing of Pillion. Usage: service.js BROKEN_FILE
const fs = require('fs')
const notify = require('sd-notify')

notify.sendStatus('starting')
notify.startWatchdogMode(Math.floor(notify.watchdogInterval() / 3))
notify.ready()
notify.sendStatus('serving')
setInterval(() => {
  while (fs.existsSync(process.argv[2])) { /* stuck: the event loop turns no more */ }
}, 50)
