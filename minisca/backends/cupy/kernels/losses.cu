// What a linear classifier loses by its scores, and the gradient, a thread a row, in double.

#include "common.cuh"

// losses (n) <- the sums of the squared hinges of scores (n, n_classes); classes (n) are the rows'.
extern "C" __global__ void squared_hinge(const REAL* scores, const int* classes, int n_classes,
                                         double* losses, REAL* d_scores, Index n) {
    for (Index row = first_element(); row < n; row += n_threads_of_grid()) {
        const Index first = row * n_classes;
        double loss = 0;
        for (int c = 0; c < n_classes; ++c) {
            const double sign = classes[row] == c ? 1 : -1;
            double lacking = 1 - sign * double(scores[first + c]);
            if (lacking < 0) lacking = 0;  // what is no number stays it
            loss += lacking * lacking;
            d_scores[first + c] = REAL(-2 * sign * lacking);
        }
        losses[row] = loss;
    }
}

// losses (n) <- the cross-entropies of the softmax of scores (n, n_classes).
extern "C" __global__ void cross_entropy(const REAL* scores, const int* classes, int n_classes,
                                         double* losses, REAL* d_scores, Index n) {
    for (Index row = first_element(); row < n; row += n_threads_of_grid()) {
        const Index first = row * n_classes;
        double largest = scores[first], total = 0;  // the largest is taken out: none overflows
        for (int c = 1; c < n_classes; ++c)
            if (scores[first + c] > largest) largest = scores[first + c];
        for (int c = 0; c < n_classes; ++c) total += exp(double(scores[first + c]) - largest);
        for (int c = 0; c < n_classes; ++c) {
            const double share = exp(double(scores[first + c]) - largest) / total;
            d_scores[first + c] = REAL(share - (classes[row] == c ? 1 : 0));
        }
        losses[row] = log(total) - (double(scores[first + classes[row]]) - largest);
    }
}
