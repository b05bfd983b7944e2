"""The use cases of a station, written against ports; knows no library and no edge."""
