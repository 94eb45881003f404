"""Carries sensor data from MQTT on an edge gateway into Databricks tables and loses nothing."""
