"""The Snakemake workflow and its profiles, shipped as package data."""
