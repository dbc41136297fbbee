"""What every study on trainings is run by: trained runs, measured models, statistics, plans."""
