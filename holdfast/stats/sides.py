"""The two questions that every rule is asked.

`pass`: the null hypothesis is that the change is at least the margin; a small p shows it below.
`fail`: the null hypothesis is that the change is at most the margin; a small p shows it above.
They are separate tests, each at alpha, and both may be left unshown.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

Side = Literal["pass", "fail"]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
