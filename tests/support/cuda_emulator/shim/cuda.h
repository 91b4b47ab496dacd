// What a kernel's text sees of CUDA when it is compiled for the host.
#pragma once

#include <math.h>

#include "keywords.h"
#include "numbers.h"
#include "warp.h"
#include "atomics.h"
#include "tensor.h"
#include "parameters.h"
