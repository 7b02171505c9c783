"""The emotion task: its trained models and their accuracy, with every activation, and from samples to the answer."""
