"""All of QoS at once, from online trees. Imports `qos`."""
