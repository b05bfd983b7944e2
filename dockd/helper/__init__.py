"""Root's helper, a program of its own: authorises, mounts and switches what is in a bay. README.md has its words."""
