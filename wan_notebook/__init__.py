"""Make pictures with Alibaba's Wan 2.6 Image model inside a Jupyter notebook."""
