// SPDX-License-Identifier: Apache-2.0
// cuda/quantise.cu for the emulated device: where its bytes go, and each byte against the rule.
#include "cuda/quantise.cu"

#include <algorithm>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>
#include <sys/mman.h>

#include "machine.hpp"
#include "training/numerics/philox.hpp"
#include "training/numerics/quantise.hpp"

namespace trainyard::cuda {

namespace {

constexpr Layout kLayouts[] = {Layout::lines, Layout::slabs};
constexpr Words kRandomWords{77, 3, 2004, true, 0};

TEST(quantise, finds_the_place_of_any_group_from_that_of_the_first) {
    for (const Layout layout : kLayouts) {
        Operand x;
        x.groups = 21, x.k = 384, x.layout = layout;
        for (uint32_t z = 0; z < 3; ++z)
            for (uint32_t byte = 0; byte < x.k; byte += 8)
                for (uint32_t group = 0; group < x.groups; ++group)
                    ASSERT_EQ(PlaceInGroups(x, z, byte).at(group), x.at(z, group, byte));
    }
}

TEST(quantise, puts_one_byte_of_a_word_and_keeps_the_others) {
    for (uint32_t from = 0; from < 4; ++from)
        for (uint32_t to = 0; to < 4; ++to) {
            const uint32_t got = __byte_perm(0x13121110, 0x23222120, putting(from, to));
            for (uint32_t i = 0; i < 4; ++i)
                EXPECT_EQ(got >> 8 * i & 0xff, i == to ? 0x20 + from : 0x10 + i);
        }
}

TEST(quantise, draws_the_words_of_eight_elements_from_any_offset) {
    for (const uint64_t idx0 : {uint64_t{0}, uint64_t{5}, (uint64_t{1} << 35) - 20})
        for (uint64_t offset = 0; offset < 24; ++offset) {
            Words words = kRandomWords;
            words.idx0 = idx0;
            const EightWords got = eight_words(words, offset);
            for (uint32_t j = 0; j < 8; ++j)
                ASSERT_EQ(got.of(j), training::rounding_word(idx0 + offset + j, words.tensor,
                                                             words.step, words.seed));
        }
}

TEST(quantise, takes_whole_loads_only_where_every_row_begins_at_one) {
    alignas(16) const float data[2] = {};
    const auto is_one = [&](size_t at, size_t stride, size_t per_sequence, size_t per_head) {
        return is_aligned({data + at, 8, 8, stride, {2, 0, per_sequence, per_head}});
    };
    EXPECT_TRUE(is_one(0, 8, 64, 4));
    EXPECT_FALSE(is_one(1, 8, 64, 4));
    EXPECT_FALSE(is_one(0, 9, 64, 4));
    EXPECT_FALSE(is_one(0, 8, 66, 4));
    EXPECT_FALSE(is_one(0, 8, 64, 5));
}

/// Floats of which none may be read before the first or behind the last: one of the ends is also
/// the end of the pages.
class Guarded {
public:
    Guarded(size_t count, bool at_end) {
        const size_t pages = (count * sizeof(float) + kPage - 1) / kPage * kPage;
        bytes_ = pages + 2 * kPage;
        base_ = static_cast<char*>(
            mmap(nullptr, bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        EXPECT_EQ(mprotect(base_ + kPage, pages, PROT_READ | PROT_WRITE), 0);
        data =
            reinterpret_cast<float*>(base_ + kPage + (at_end ? pages - count * sizeof(float) : 0));
    }
    Guarded(const Guarded&) = delete;
    Guarded& operator=(const Guarded&) = delete;
    ~Guarded() { munmap(base_, bytes_); }

    float* data;

private:
    static constexpr size_t kPage = 4096;
    size_t bytes_;
    char* base_;
};

/// A batch of `batch` matrices in one piece of memory, with numbers of any size and of small groups
/// that quantise to zeros.
struct Case {
    uint32_t batch = 1, rows, cols;
    size_t stride;
    Spread spread = {};

    [[nodiscard]] size_t count() const {
        return spread.offset(batch - 1) + (rows - 1) * stride + cols;
    }
    [[nodiscard]] Source in(float* data) const {
        for (size_t i = 0; i < count(); ++i) {
            const uint32_t random = static_cast<uint32_t>(i) * 0x9E3779B1U ^ 0x5bd1e995U;
            const float x = static_cast<float>(static_cast<int32_t>(random)) * 0x1p-20F;
            data[i] = i / stride % 17 == 3 ? x * 0x1p-120F : i % stride % 13 == 2 ? x * 100 : x;
        }
        return {data, rows, cols, stride, spread};
    }
};

const Case kCases[] = {
    {1, 1, 1, 1},
    {1, 5, 7, 7},
    {1, 128, 64, 64},
    {1, 129, 68, 68},
    {1, 200, 193, 193},
    {1, 131, 130, 133},
    {1, 131, 136, 137},
    {1, 131, 128, 129},
    {1, 140, 139, 139},
    {1, 70, 769, 769},
    {1, 9, 3080, 3080},
    {1, 3, 13000, 13000},
    {1, 3, 12999, 13001},
    {6, 65, 64, 192, {3, 1, size_t{65} * 192, 64}},
    {4, 33, 5, 30, {2, 0, size_t{33} * 30, 5}},
    {3, 40, 24, 24, {1, 2, size_t{40} * 24, 0}},
    {1, 1100, 20, 24},  // more than one block holds of a column, two, and four
    {2, 2049, 4, 8, {1, 0, size_t{2049} * 8, 0}},
    {1, 8192, 20, 20},
    {1, 8193, 4, 4},  // more than a cluster
};

/// What the rule makes of a batch, by rows or by columns, byte for byte where `out.at` says.
void expect_quantised(const Operand& out, const Case& c, const Source& x, bool by_cols,
                      const Words& words) {
    const emulated::DeviceAccess access;
    const uint32_t groups = by_cols ? c.cols : c.rows, terms = by_cols ? c.rows : c.cols;
    ASSERT_EQ(out.groups, groups);
    ASSERT_GE(out.k, terms);
    for (uint32_t z = 0; z < c.batch; ++z)
        for (uint32_t g = 0; g < groups; ++g) {
            const auto offset = [&](uint32_t t) {
                return x.spread.offset(z) + (by_cols ? t : g) * x.stride + (by_cols ? g : t);
            };
            uint32_t amax = 0;
            for (uint32_t t = 0; t < terms; ++t)
                amax = std::max(amax, training::bits_of(x.data[offset(t)]) & 0x7fffffffU);
            const training::Scale scale = training::scale_of(amax);
            ASSERT_EQ(out.scale[size_t{z} * groups + g], scale.s) << z << " " << g;
            for (uint32_t t = 0; t < out.k; ++t) {
                int8_t expected = 0;
                if (t < terms)
                    expected =
                        words.stochastic
                            ? training::quantise_stochastic(
                                  x.data[offset(t)], scale.inv,
                                  training::rounding_word(words.idx0 + offset(t), words.tensor,
                                                          words.step, words.seed))
                            : training::quantise_nearest(x.data[offset(t)], scale.inv);
                ASSERT_EQ(out.q[out.at(z, g, t)], expected)
                    << "matrix " << z << " group " << g << " term " << t;
            }
        }
}

class Quantise : public testing::TestWithParam<emulated::Order> {
protected:
    void SetUp() override {
        emulated::set_order(GetParam());
        emulated::set_hopper(true);  // for clusters
    }
    void TearDown() override {
        emulated::set_hopper(false);
        emulated::set_order(emulated::Order::forward);
    }

    /// `body` with each case, at both ends of its pages.
    template <class Body>
    void for_each_case(const Body& body) {
        for (const Case& c : kCases)
            for (const bool at_end : {false, true}) {
                SCOPED_TRACE(testing::Message() << c.batch << " x " << c.rows << " x " << c.cols
                                                << ", " << c.stride << " apart");
                const Guarded memory(c.count(), at_end);
                Context on(0);
                on.begin();
                body(on, c, c.in(memory.data));
                EXPECT_TRUE(on.ok());
            }
    }
};

TEST_P(Quantise, takes_rows_of_any_length_and_alignment) {
    for_each_case([](Context& on, const Case& c, const Source& x) {
        for (const Layout layout : kLayouts)
            for (const Words& words : {Words{}, kRandomWords}) {
                const Operand out = quantise_rows(on, c.batch, x, words, layout);
                on.wait();
                expect_quantised(out, c, x, false, words);
            }
    });
}

TEST_P(Quantise, takes_columns_of_any_length_and_alignment) {
    for_each_case([](Context& on, const Case& c, const Source& x) {
        for (const Products products : {Products::pairs, Products::alternating})
            for (const Layout layout : kLayouts) {
                on.set_products(products);
                const Operand out = quantise_cols(on, c.batch, x, layout);
                on.wait();
                expect_quantised(out, c, x, true, {});
            }
    });
}

TEST_P(Quantise, takes_both_with_the_same_words) {
    for_each_case([](Context& on, const Case& c, const Source& x) {
        for (const Layout layout : kLayouts)
            for (const Words& words : {Words{}, kRandomWords}) {
                const BothWays out = quantise_both(on, c.batch, x, words, {layout, layout});
                on.wait();
                expect_quantised(out.rows, c, x, false, words);
                expect_quantised(out.cols, c, x, true, words);
            }
    });
}

INSTANTIATE_TEST_SUITE_P(orders, Quantise,
                         testing::Values(emulated::Order::forward, emulated::Order::backward,
                                         emulated::Order::scattered));

}  // namespace

}  // namespace trainyard::cuda
