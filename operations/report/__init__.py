"""What the endpoint saw and answered over weeks, from captures and records: as a page, and compared."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
