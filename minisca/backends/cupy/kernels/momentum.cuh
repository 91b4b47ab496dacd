// A step of gradient descent with classical momentum: v <- mu v - eta g, theta <- theta + v.

// The fma is written, so that all kernels round alike.
__device__ inline void descend(REAL& value, REAL& velocity, REAL gradient, REAL rate,
                               REAL momentum) {
    velocity = fma(momentum, velocity, -(rate * gradient));
    value += velocity;
}
