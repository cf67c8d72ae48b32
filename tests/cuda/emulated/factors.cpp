// SPDX-License-Identifier: Apache-2.0
// Products with weights that were quantised beforehand.
#include <gtest/gtest.h>

#include "cuda/cuda_backend.hpp"
#include "machine.hpp"
#include "training/operator_cases.hpp"
#include "training/tensor_set.hpp"

namespace {

using namespace trainyard;
using namespace trainyard::training;

constexpr LinearShape kWide{100, 130, 97}, kTall{100, 97, 140};

struct Layer {
    size_t at;  ///< in the block of weights
    LinearShape s;
};
/// Three of one shape at equal distances with one of another between them, one more of the first
/// shape elsewhere, and one that is too small for warpgroups.
const Layer kLayers[] = {{0, kWide},     {12610, kTall}, {30000, kWide},
                         {60000, kWide}, {80003, kWide}, {95000, {100, 130, 20}}};
constexpr size_t kWeights = 98000;

class Factors : public testing::TestWithParam<bool> {
protected:
    void SetUp() override { emulated::set_hopper(GetParam()); }
    void TearDown() override { emulated::set_hopper(false); }

    /// What forward and backward yield for every layer, one behind the other.
    static Values run(Backend& backend, const BackendMemory& w) {
        Values all;
        for (const Layer& layer : kLayers) {
            const LinearShape s = layer.s;
            const Values x = make_values(7, size_t{s.n} * s.i, 2.0F);
            const Values dy = make_values(8, size_t{s.n} * s.o, 2.0F);
            const BackendMemory in(backend, x.size() * 4), d(backend, dy.size() * 4);
            const BackendMemory y(backend, dy.size() * 4), dx(backend, x.size() * 4);
            const BackendMemory dw(backend, size_t{s.i} * s.o * 4);
            backend.upload(in.data(), x.data(), x.size() * 4);
            backend.upload(d.data(), dy.data(), dy.size() * 4);
            const float* const weights = w.floats() + layer.at;
            backend.linear(y.floats(), in.floats(), weights, s);
            backend.linear_grad(dx.floats(), dw.floats(), {d.floats(), in.floats(), weights}, s,
                                {1, 2, 3});
            const auto take = [&](const BackendMemory& from, size_t count) {
                Values got(count);
                backend.download(got.data(), from.data(), count * 4);
                all.insert(all.end(), got.begin(), got.end());
            };
            take(y, dy.size());
            take(dx, x.size());
            take(dw, size_t{s.i} * s.o);
        }
        EXPECT_TRUE(backend.finish());
        return all;
    }
    static std::vector<TensorView> views(const BackendMemory& w) {
        std::vector<TensorView> out;
        for (const Layer& layer : kLayers)
            out.emplace_back(w.floats() + layer.at, Shape::matrix(layer.s.i, layer.s.o));
        return out;
    }
};

TEST_P(Factors, give_the_bits_of_products_that_quantise_for_themselves) {
    const auto device = cuda::make_cuda_backend(0);
    const auto reference = make_reference_backend();
    const BackendMemory w(*device, kWeights * 4), plain(*reference, kWeights * 4);
    for (const uint32_t stream : {1U, 2U}) {  // the second time other weights in the same memory
        const Values values = make_values(stream, kWeights, 1.0F);
        device->upload(w.data(), values.data(), kWeights * 4);
        reference->upload(plain.data(), values.data(), kWeights * 4);
        const Values due = run(*reference, plain);
        EXPECT_EQ(run(*device, w), due) << "nothing kept";
        for (int turn = 0; turn < 2; ++turn) {  // the first time they are only seen
            device->keep_factors(views(w));
            EXPECT_EQ(run(*device, w), due) << "kept";
            device->keep_factors({});
        }
    }
}

/// That the kept operands are what products read: weights that change meanwhile are not seen.
TEST_P(Factors, are_read_in_place_of_the_weights) {
    const auto device = cuda::make_cuda_backend(0);
    const BackendMemory w(*device, kWeights * 4);
    const Values values = make_values(1, kWeights, 1.0F);
    device->upload(w.data(), values.data(), kWeights * 4);
    const Values due = run(*device, w);
    device->keep_factors(views(w));
    device->keep_factors(views(w));
    device->fill_zero(w.floats(), kWeights);
    EXPECT_EQ(run(*device, w), due);
    device->keep_factors({});
    EXPECT_NE(run(*device, w), due);
}

/// Products need all the room that there is: none is left for factors, and none is taken first.
TEST_P(Factors, take_no_room_that_products_need) {
    const auto device = cuda::make_cuda_backend(0);
    const BackendMemory w(*device, kWeights * 4);
    const Values values = make_values(1, kWeights, 1.0F);
    device->upload(w.data(), values.data(), kWeights * 4);
    device->keep_factors(views(w));
    const Values due = run(*device, w);
    device->keep_factors({});
    emulated::set_faults({.memory_bytes_max = emulated::bytes_in_use()});
    device->keep_factors(views(w));
    device->fill_zero(w.floats(), kWeights);
    EXPECT_NE(run(*device, w), due) << "nothing is kept";
    emulated::set_faults({});
}

INSTANTIATE_TEST_SUITE_P(devices, Factors, testing::Values(false, true),
                         [](const auto& test) { return test.param ? "hopper" : "plain"; });

}  // namespace
