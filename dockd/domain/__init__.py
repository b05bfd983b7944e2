"""Pure decisions about bays, clips, receipts and custody: no IO, no clock, no chance."""
