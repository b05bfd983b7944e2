"""The pins: lamps on lines of a board's header, by gpiozero."""
