// Rounds: where a piece of the images does not fit into shared memory, some of its images come at
// once, and what is summed before waits in global memory.
//
// Macro: IN_ROUNDS, 1 where some images come at once, 0 where all do.

constexpr bool kInRounds = IN_ROUNDS;

// How a layer's images and maps are cut.
struct Cut {
    int images_of_piece, images_at_once, n_maps, maps_of_block;
};

// The images of a piece that come at once, behind the first `before`.
struct Round {
    int before, first_image, n_images;
    bool is_last;
    __device__ Round(int before, int piece, int n, const Cut& cut) : before(before) {
        first_image = piece * cut.images_of_piece + before;
        const int n_left = min(cut.images_of_piece - before, n - first_image);
        n_images = kInRounds ? min(cut.images_at_once, n_left) : n_left;
        is_last = n_images == n_left;
    }
    __device__ bool is_first() const { return !kInRounds || before == 0; }
};

// The sums of a piece, one behind the other: d_encoder (m, c, k, k), d_decoder (m, c, k, k),
// d_encoder_bias (m), d_decoder_bias (c).
struct Part {
    REAL* d_encoder;
    Index n_weights;
    int n_maps;
    __device__ Part(REAL* parts, int piece, int n_maps, const Layout& layout)
        : n_weights(Index(n_maps) * layout.channels * layout.k * layout.k), n_maps(n_maps) {
        d_encoder = parts + piece * (2 * n_weights + n_maps + layout.channels);
    }
    __device__ REAL* d_decoder() const { return d_encoder + n_weights; }
    __device__ REAL* d_encoder_bias() const { return d_encoder + 2 * n_weights; }
    __device__ REAL* d_decoder_bias() const { return d_encoder_bias() + n_maps; }
};
