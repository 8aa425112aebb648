"""Durable segments, tables and ingestion."""
