// SPDX-License-Identifier: Apache-2.0
// Whether a backend that checks states updates them as the reference does, is content with what it
// has left in memory, and with nothing else.
#include "training/numerics/functions.hpp"
#include "training/operator_cases.hpp"
#include "training/state_sums.hpp"
#include "training/tensor_set.hpp"

namespace trainyard::training {

namespace {

/// Odd lengths, one of more than a block.
std::vector<Tensor> make_tensors(float scale) {
    std::vector<Tensor> out;
    for (const Shape& shape : {Shape::vector(1), Shape::matrix(33, 71), Shape::vector(7)}) {
        out.push_back(Tensor::zeros(shape));
        Floats& x = out.back().data;
        for (size_t i = 0; i < x.size(); ++i) x[i] = scale * static_cast<float>(i % 97 + 1);
    }
    return out;
}

/// w, m, v and gradients of a state on one backend.
struct Held {
    explicit Held(Backend& on) : backend(on) {
        for (const float scale : {-0.5F, 0.25F, 0.125F, 1.0F})
            sets.emplace_back(on, shapes_of(scale)).upload(make_tensors(scale));
    }
    void update(bool is_sgd, StateSums* sums) {
        std::vector<TensorUpdate> all;
        for (size_t k = 0; k < sets[0].size(); ++k)
            all.push_back({{sets[0].at(k), sets[1].at(k), sets[2].at(k), sets[3].at(k), nullptr},
                           sets[0].count(k),
                           0.1F});
        if (is_sgd)
            backend.sgd_all(all, {1e-2F, 0.7F, 0.9F}, sums);
        else
            backend.adamw_all(all, {1e-3F, 0.7F, 0.9F, 0.99F, 0.1F, 0.01F, 1.7F, 8.3F, 1e-8F},
                              sums);
    }

    static std::vector<Shape> shapes_of(float scale) {
        std::vector<Shape> out;
        for (const Tensor& t : make_tensors(scale)) out.push_back(t.shape);
        return out;
    }
    [[nodiscard]] std::vector<Tensor> copy(uint32_t kind) const {
        auto out = make_tensors(0);
        for (size_t k = 0; k < out.size(); ++k)
            backend.download(out[k].data.data(), sets[kind].at(k),
                             sets[kind].count(k) * sizeof(float));
        return out;
    }

    Backend& backend;
    std::vector<TensorSet> sets;
};

/// Empty if all is well.
std::string fault_of(Backend& backend, bool is_sgd) {
    const auto reference = make_reference_backend();
    Held on_host(*reference), held(backend);
    const BackendMemory memory(backend, sizeof(StateSums));
    for (const TensorSet& set : held.sets)
        if (!set.ok() || !memory.ok()) return "out of memory";
    auto* const sums = static_cast<StateSums*>(memory.data());
    for (uint32_t kind = 0; kind < StateSums::kKinds; ++kind) {
        const uint32_t sum = sum_of_bits(on_host.copy(kind), nullptr);
        backend.upload(sums->due[kind], &sum, sizeof sum);
    }
    for (int i = 0; i < 2; ++i) {
        held.update(is_sgd, sums);
        on_host.update(is_sgd, nullptr);
        if (auto done = backend.finish(); !done) return std::string(to_text(done.error()));
    }
    for (uint32_t kind = 0; kind < StateSums::kKinds; ++kind) {
        const auto is = held.copy(kind), due = on_host.copy(kind);
        for (size_t k = 0; k < due.size(); ++k)
            if (!same_bits(is[k], due[k])) return "another state";
    }
    const float w = held.copy(0)[2].data[6];
    const uint32_t flipped = bits_of(w) ^ 1;
    backend.upload(held.sets[0].at(2) + 6, &flipped, sizeof flipped);
    held.update(is_sgd, sums);
    const auto told = backend.finish();
    if (!told && told.error() == BackendError::state_changed) return "";
    return told ? "a flipped bit is not seen" : std::string(to_text(told.error()));
}

}  // namespace

Result<Done, std::string> check_state_sums(Backend& backend) {
    if (!backend.checks_states()) return Done{};
    for (const bool is_sgd : {false, true})
        if (auto fault = fault_of(backend, is_sgd); !fault.empty())
            return unexpected("sums of the state, " + std::string(is_sgd ? "sgd: " : "adamw: ") +
                              fault);
    return Done{};
}

}  // namespace trainyard::training
