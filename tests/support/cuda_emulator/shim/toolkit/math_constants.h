// Found by `#include <math_constants.h>`; what it defines is in ../numbers.h.
#pragma once
