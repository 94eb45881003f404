"""Real parts for end-to-end tests: mosquitto, the local Zerobus, the daemon, a publisher."""
