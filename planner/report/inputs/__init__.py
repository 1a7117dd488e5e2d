"""What a report is made of: results that commands wrote or printed, read with distrust."""
