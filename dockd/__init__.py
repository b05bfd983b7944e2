"""dockd: the service inside a docking station for body-worn cameras."""
