"""Who pays what, given who serves whom? One rule or family a module. Imports the room's vocabulary and `allocation`."""
