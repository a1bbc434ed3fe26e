"""XGBoost's C API, called for few rows at a time.

The Python package's ``inplace_predict`` takes twice as long for a row as the prediction that it
asks for: most of its time goes into finding out what it was given, and into describing what it
gives back. The function below it is part of XGBoost's documented C API.
"""

from __future__ import annotations

import ctypes
import json
from functools import cache

import numpy as np
import numpy.typing as npt
import xgboost
from xgboost.core import XGBoostError
from xgboost.libpath import find_lib_path

Floats = npt.NDArray[np.float64]

_Sizes = ctypes.POINTER(ctypes.c_uint64)
_Numbers = ctypes.POINTER(ctypes.c_float)

MARGINS = json.dumps(
    {
        "type": 1,  # log-odds
        "training": False,
        "iteration_begin": 0,
        "iteration_end": 0,  # all
        "missing": float("nan"),
        "strict_shape": False,
    }
).encode()


def margins(booster: xgboost.Booster, matrix: Floats) -> Floats:
    """Return a booster's log-odds of encoded rows, shape (rows,), all its rounds taken together.

    ``matrix`` has the shape (rows, features), as many features as the booster was trained with.
    Raises XGBoostError where the booster fails, or says more than one number of a row.
    """
    given = np.ascontiguousarray(matrix, dtype=np.float64)
    rows, features = given.shape
    if not rows:
        return np.empty(0)
    described = b'{"data":[%d,true],"shape":[%d,%d],"typestr":"%b","version":3}' % (
        given.ctypes.data,
        rows,
        features,
        given.dtype.str.encode(),
    )
    shape, dimensions, numbers = _Sizes(), ctypes.c_uint64(), _Numbers()
    failed = _library().XGBoosterPredictFromDense(
        booster.handle,
        described,
        MARGINS,
        None,
        ctypes.byref(shape),
        ctypes.byref(dimensions),
        ctypes.byref(numbers),
    )
    if failed:
        raise XGBoostError(_library().XGBGetLastError().decode())
    found = shape[: dimensions.value]
    if found not in ([rows], [rows, 1]):
        raise XGBoostError(f"The booster gives numbers of the shape {found}, expected [{rows}].")
    # Copied at once: what it gives is its own until this thread asks it again.
    whole = ctypes.cast(numbers, ctypes.POINTER(ctypes.c_float * rows)).contents
    return np.frombuffer(whole, dtype=np.float32).astype(np.float64)


@cache
def _library() -> ctypes.CDLL:
    """Return the library that the Python package has loaded."""
    library = ctypes.CDLL(find_lib_path()[0])
    library.XGBoosterPredictFromDense.argtypes = (
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_char_p,
        ctypes.c_void_p,
        ctypes.POINTER(_Sizes),
        ctypes.POINTER(ctypes.c_uint64),
        ctypes.POINTER(_Numbers),
    )
    library.XGBGetLastError.restype = ctypes.c_char_p
    return library
