"""The site of the documents: pages from docs/, README and others, with references made from the code."""
