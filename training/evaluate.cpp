// SPDX-License-Identifier: Apache-2.0
// The loss over the held-out records, and how many predictions were right.
#include <algorithm>

#include "training/engine.hpp"
#include "training/graph.hpp"
#include "training/update.hpp"

namespace trainyard::training {

namespace {

/// Rows whose largest element stands at the target.
uint64_t count_correct(const Tensor& z, const std::vector<uint32_t>& targets) {
    uint64_t correct = 0;
    for (size_t n = 0; n < targets.size(); ++n) {
        const auto row = z.data.begin() + static_cast<ptrdiff_t>(n * z.shape.cols);
        const auto best = std::max_element(row, row + z.shape.cols) - row;
        correct += static_cast<uint64_t>(best) == targets[n] ? 1 : 0;
    }
    return correct;
}

Result<Evaluation, EngineError> evaluate_with(Engine& engine, const std::vector<Tensor>& w,
                                              BytesView data, bool predictions) {
    const Program& program = engine.program();
    const uint32_t sequences = program.run.sequences;
    if (program.data.held_out == 0) return unexpected(EngineError::wrong_shape);
    auto loaded = engine.load_weights(w);
    if (!loaded) return unexpected(loaded.error());
    std::vector<uint32_t> losses;
    Evaluation out;
    for (uint32_t first = 0; first < program.data.held_out; first += sequences) {
        std::vector<uint64_t> records;
        for (uint32_t b = 0; b < sequences; ++b)
            records.push_back(held_out_record(program, first + b));
        auto batch = make_batch(program, data, records);
        if (!batch) return unexpected(batch.error());
        auto loss = engine.forward_loss(*batch);
        if (!loss) return unexpected(loss.error());
        losses.push_back(*loss);
        out.rows += batch->targets.size();
        if (!predictions || program.nodes.back().op != Op::cross_entropy) continue;
        auto z = engine.forward_logits(*batch);
        if (!z) return unexpected(z.error());
        out.correct += count_correct(*z, batch->targets);
    }
    out.loss_bits = mean_of_losses(losses);
    return out;
}

}  // namespace

Result<uint32_t, EngineError> evaluate_held_out(Engine& engine, const std::vector<Tensor>& w,
                                                BytesView data) {
    auto result = evaluate_with(engine, w, data, false);
    if (!result) return unexpected(result.error());
    return result->loss_bits;
}

Result<Evaluation, EngineError> evaluate(Engine& engine, const std::vector<Tensor>& w,
                                         BytesView data) {
    return evaluate_with(engine, w, data, true);
}

}  // namespace trainyard::training
