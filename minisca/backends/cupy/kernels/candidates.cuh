// How candidates of a map are listed: kListed places, and instead of a place, nobody; or a crowd, first
// of the list, where there are more.

constexpr int kListed = 12;
constexpr int kNobody = 0xffff, kCrowd = 0xfffe;
