"""Save, load and describe models, and find what they are claimed to have earned."""
