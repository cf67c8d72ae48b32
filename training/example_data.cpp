// SPDX-License-Identifier: Apache-2.0
// Images from elsewhere: the IDX files of MNIST, and the built-in shapes.
#include "training/dataset.hpp"

#include "core/big_endian.hpp"
#include "training/numerics/philox.hpp"

namespace trainyard::training {

namespace {

auto refuse(DatasetError error, int64_t where, std::string detail) {
    return unexpected(DatasetFault{error, where, std::move(detail)});
}

uint32_t word_at(BytesView from, size_t at) {
    return load_be<uint32_t>(&from[at]);
}

constexpr uint32_t kImagesMagic = 0x00000803, kLabelsMagic = 0x00000801;
constexpr uint32_t kSide = 16;

/// Everything about one shape, drawn from one Philox block.
struct Shape16 {
    uint32_t label;
    int x, y, radius;  ///< in half pixels
    uint8_t colour[3];

    /// Whether the middle of a pixel lies inside.
    [[nodiscard]] bool holds(int px, int py) const {
        const int dx = 2 * px + 1 - x, dy = 2 * py + 1 - y;
        const int ax = dx < 0 ? -dx : dx, ay = dy < 0 ? -dy : dy;
        switch (label) {
            case 0:
                return dx * dx + dy * dy <= radius * radius;
            case 1:
                return ax <= radius && ay <= radius;
            case 2:
                return ay <= radius && 2 * ax <= dy + radius;
            default:
                return (ax <= radius && ay <= radius / 3) || (ay <= radius && ax <= radius / 3);
        }
    }
};

Shape16 draw_shape(uint32_t i, uint32_t seed) {
    const PhiloxBlock a = philox({i, 0, 0, 0}, seed, 0x5A4E);
    const PhiloxBlock b = philox({i, 1, 0, 0}, seed, 0x5A4E);
    Shape16 s{a[0] % 4,
              12 + static_cast<int>(a[1] % 9),
              12 + static_cast<int>(a[2] % 9),
              7 + static_cast<int>(a[3] % 5),
              {}};
    // One strong, one middling and one weak channel: six hues.
    static constexpr uint8_t kOrders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                              {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    const uint8_t levels[3] = {static_cast<uint8_t>(230), static_cast<uint8_t>(60 + b[1] % 100),
                               static_cast<uint8_t>(40)};
    for (size_t c = 0; c < 3; ++c) s.colour[kOrders[b[0] % 6][c]] = levels[c];
    return s;
}

}  // namespace

Result<std::vector<Image>, DatasetFault> read_idx(BytesView images, BytesView labels) {
    if (images.size() < 16 || labels.size() < 8)
        return refuse(DatasetError::truncated, -1, "the header of an IDX file is cut off");
    if (word_at(images, 0) != kImagesMagic || word_at(labels, 0) != kLabelsMagic)
        return refuse(DatasetError::bad_header, -1,
                      "not IDX files of images (00000803) and labels (00000801)");
    const uint32_t count = word_at(images, 4), rows = word_at(images, 8),
                   cols = word_at(images, 12);
    if (word_at(labels, 4) != count)
        return refuse(DatasetError::bad_record, -1,
                      std::to_string(count) + " images but " + std::to_string(word_at(labels, 4)) +
                          " labels");
    if (rows == 0 || cols == 0 || rows > DatasetLimits::side_max || cols > DatasetLimits::side_max)
        return refuse(DatasetError::too_large, -1, "images of 1 x 1 to 1,024 x 1,024 are allowed");
    const uint64_t pixels = uint64_t{rows} * cols;
    if (images.size() != 16 + count * pixels || labels.size() != 8 + uint64_t{count})
        return refuse(DatasetError::truncated, -1, "the files have another length than they say");
    std::vector<Image> out;
    for (uint64_t i = 0; i < count; ++i) {
        const BytesView at = images.subspan(16 + i * pixels, pixels);
        out.push_back({rows, cols, 1, labels[8 + i], Bytes(at.begin(), at.end())});
    }
    return out;
}

std::vector<Image> make_shapes(uint32_t count, uint32_t seed) {
    std::vector<Image> out;
    for (uint32_t i = 0; i < count; ++i) {
        const Shape16 s = draw_shape(i, seed);
        Image image{kSide, kSide, 3, s.label, {}};
        for (int y = 0; y < static_cast<int>(kSide); ++y)
            for (int x = 0; x < static_cast<int>(kSide); ++x)
                for (const uint8_t level : s.colour)
                    image.pixels.push_back(s.holds(x, y) ? level : uint8_t{16});
        out.push_back(std::move(image));
    }
    return out;
}

}  // namespace trainyard::training
