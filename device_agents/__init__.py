"""All that runs on devices. Location says where code runs."""
