// SPDX-License-Identifier: Apache-2.0
// Ids of blobs, and pieces that are shown with their path.
#include "core/blob.hpp"

#include <gtest/gtest.h>

#include "core/hash.hpp"
#include "core/merkle.hpp"

namespace trainyard::blob {
namespace {

constexpr uint64_t kChunk = 64 * kPieceBytes;

Bytes numbered(size_t size) {
    Bytes out(size);
    for (size_t i = 0; i < size; ++i) out[i] = static_cast<uint8_t>(i * 7 + i / kPieceBytes);
    return out;
}

BytesView piece_of(const Bytes& content, uint64_t index) {
    return BytesView(content).subspan(index * kPieceBytes, piece_bytes(content.size(), index));
}

TEST(blob, ids_are_frozen) {
    // Computed with Python's hashlib from the formula in docs/spec/wire.md.
    struct Row {
        size_t size;
        const char* id;
    };
    for (const auto& [size, id_hex] : {
             Row{0, "94e22166cd1a329e912315275b7f36283c9a7e29890d7316123843a00c5f4743"},
             Row{1, "47523a62bd6b01a9838deb28d49527b3eb885a6473e7ef7907ac20144fbaea41"},
             Row{4096, "3e5e26342dd2ac5c2777d1f5cd940ac962e14f854512429ea171e6228537fa57"},
             Row{8193, "750a00079ac8413d29b000e068307493029cbf7be98ef35c0cf93531dbd7724c"},
             Row{270'337, "0941fabda4e553a6fb12f73b811432eafb0568e9249ce669306f076e4a0a9579"},
             Row{806'919, "e6b6b207d97e482ae5f3a10d29634dc4fd857bfdb2a392b8444b0f3d67de30e4"},
         })
        EXPECT_EQ(to_hex(id(Bytes(size, 'a')).bytes), id_hex) << size;
}

TEST(blob, the_roots_of_its_chunks_have_its_root) {
    for (const uint64_t size : {kChunk, kChunk + 1, 2 * kChunk, 3 * kChunk + 5 * kPieceBytes + 9}) {
        const Bytes content = numbered(size);
        std::vector<Hash> chunks;
        for (uint64_t at = 0; at < size; at += kChunk)
            chunks.push_back(root(BytesView(content).subspan(at, std::min(kChunk, size - at))));
        EXPECT_EQ(merkle::root(chunks), root(content)) << size;
    }
}

TEST(blob, every_piece_verifies_in_its_place_only) {
    for (const uint64_t size : {uint64_t{1}, kPieceBytes, 2 * kPieceBytes + 1, 7 * kPieceBytes}) {
        const Bytes content = numbered(size);
        const Hash name = id(content);
        const uint64_t count = piece_count(size);
        for (uint64_t i = 0; i < count; ++i) {
            const auto path = piece_path(content, i);
            for (uint64_t j = 0; j < count; ++j)
                EXPECT_EQ(verify_piece(name, size, j, piece_of(content, i), path), i == j)
                    << size << " " << i << " " << j;
        }
    }
}

TEST(blob, a_piece_of_many_chunks_has_a_short_path) {
    const Bytes content = numbered(3 * kChunk + 5 * kPieceBytes + 9);
    for (const uint64_t i : {uint64_t{0}, uint64_t{64}, uint64_t{197}}) {
        const auto path = piece_path(content, i);
        EXPECT_LE(path.size(), 8u);
        EXPECT_TRUE(verify_piece(id(content), content.size(), i, piece_of(content, i), path)) << i;
    }
}

class shown_piece : public ::testing::Test {
protected:
    const Bytes content_ = numbered(4 * kPieceBytes + 9);  // five pieces: the last has one sibling
    const Hash id_ = blob::id(content_);
    std::vector<Hash> path_ = piece_path(content_, 4);
    const BytesView last_ = piece_of(content_, 4);
    bool is_believed(uint64_t size, uint64_t index, BytesView piece) const {
        return verify_piece(id_, size, index, piece, path_);
    }
};

TEST_F(shown_piece, is_refused_beyond_the_end) {
    ASSERT_TRUE(is_believed(content_.size(), 4, last_));
    for (const uint64_t index : {uint64_t{5}, uint64_t{1} << 52, ~uint64_t{0}})
        EXPECT_FALSE(is_believed(content_.size(), index, last_));
    EXPECT_FALSE(verify_piece(blob::id({}), 0, 0, {}, {}));
}

TEST_F(shown_piece, is_refused_with_another_size) {
    EXPECT_FALSE(is_believed(content_.size() - 1, 4, last_));
    EXPECT_FALSE(is_believed(content_.size() - 1, 4, last_.first(8)));
    EXPECT_FALSE(is_believed(content_.size() + 1, 4, last_));
    EXPECT_FALSE(is_believed(~uint64_t{0}, 4, BytesView(content_).first(kPieceBytes)));
    EXPECT_FALSE(is_believed(content_.size(), 4, last_.first(8)));
    EXPECT_FALSE(is_believed(content_.size(), 4, BytesView(content_).first(kPieceBytes)));
    EXPECT_FALSE(is_believed(content_.size(), 4, {}));
    Bytes longer(last_.begin(), last_.end());
    longer.push_back(0);
    EXPECT_FALSE(is_believed(content_.size(), 4, longer));
}

TEST_F(shown_piece, is_refused_with_another_path_or_byte) {
    const auto good = path_;
    path_.pop_back();
    EXPECT_FALSE(is_believed(content_.size(), 4, last_)) << "one sibling less";
    path_ = good;
    path_.push_back({});
    EXPECT_FALSE(is_believed(content_.size(), 4, last_)) << "one sibling more";
    path_ = good;
    path_[0][31] ^= 1;
    EXPECT_FALSE(is_believed(content_.size(), 4, last_)) << "another sibling";
    path_ = good;
    Bytes other(last_.begin(), last_.end());
    other[3] ^= 1;
    EXPECT_FALSE(is_believed(content_.size(), 4, other)) << "another byte";
}

}  // namespace
}  // namespace trainyard::blob
