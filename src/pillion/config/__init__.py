"""Layered configuration: the replica that reads are answered from, its history, schemas and projections."""
