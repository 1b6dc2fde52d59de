"""A GSM modem or phone on a serial port, spoken to with AT commands."""
