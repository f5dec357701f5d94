"""What a tool call would do: the capabilities it needs and the paths it touches."""
