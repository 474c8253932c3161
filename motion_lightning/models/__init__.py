"""Denoisers and their layers: plain ``nn.Module``s that know no schedule, no loss and no guidance."""
