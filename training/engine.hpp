// SPDX-License-Identifier: Apache-2.0
// Runs a program: initial state, micro-batches, updates, held-out loss and sampling, on any
// backend.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "core/bytes.hpp"
#include "training/backend.hpp"
#include "training/crew.hpp"
#include "training/plan.hpp"
#include "training/program.hpp"
#include "training/tensor.hpp"
#include "training/tensor_set.hpp"

namespace trainyard::training {

/// Everything the next step depends on besides the program and the data.
struct ModelState {
    std::vector<Tensor> w, m, v;  ///< one tensor per parameter, in program order
    uint32_t p1_bits = 0x3f800000, p2_bits = 0x3f800000;  ///< b1^step and b2^step
    uint64_t step = 0;
    uint64_t cursor = 0;  ///< records consumed: step * M * B
    Hash run_seed;
};

enum class EngineError {
    bad_program,   ///< validate_program says what
    wrong_recipe,  ///< the backend computes another recipe
    wrong_shape,   ///< state, gradients or data do not fit the program
    bad_token,     ///< a token beyond the vocabulary
    bad_base,      ///< the base section holds an Inf or NaN
    out_of_memory,
    device_failed,
    bad_log,        ///< gradients of a segment cannot be kept, or are not those that were
    diverged,       ///< Inf or NaN: the program itself fails at this step
    wrong_product,  ///< the machine errs: BackendError
    state_changed,  ///< its memory does: the state is lost, and whoever has an older one loads it
};
[[nodiscard]] std::string_view to_text(EngineError error);
/// What to say of a step of the run that had wrong products: StepResult.
[[nodiscard]] std::string wrong_products_text(uint64_t step);
/// What to do about `state_changed`, of which training recovers.
inline constexpr std::string_view kStateChangedAdvice =
    "if it happens again, lower the clock of the GPU's memory or replace it";
[[nodiscard]] EngineError engine_error(BackendError error);
/// For whoever gives up between calls of a backend: what `finish` tells, which so is not left to
/// the backend's next user, or `otherwise`. A device that fails has no room either.
[[nodiscard]] EngineError failure_on(Backend& backend, EngineError otherwise);

/// The Philox seed of a run: first four bytes of the run seed, little-endian.
[[nodiscard]] uint32_t philox_seed(const Hash& run_seed);
/// The Philox step word of micro-batch j of step t: t * M + j modulo 2^32.
[[nodiscard]] uint32_t noise_step(const Program& program, uint64_t t, uint32_t j);

/// Constants in program order. `data` is the whole data set; it matters where a base section does.
/// Errors: wrong_shape (the data is not the program's), bad_base.
[[nodiscard]] Result<std::vector<Tensor>, EngineError> program_constants(const Program& program,
                                                                         BytesView data);

/// w from the seed or the base section, m = v = +0: docs/spec/training.md, section 5.
/// Precondition: `data` is the program's data set if a parameter is `given`.
[[nodiscard]] ModelState make_initial_state(const Program& program, const Hash& run_seed,
                                            BytesView data = {});
/// Element `i` of parameter number `k`, which is not `given`; the float mode is exact.
[[nodiscard]] float initial_weight(const Parameter& p, uint32_t seed, uint32_t k, uint64_t i);
/// Its w alone, one parameter after the other.
void for_initial_weights(const Program& program, const Hash& run_seed, BytesView data,
                         const std::function<void(Tensor w)>& take);
[[nodiscard]] bool state_fits(const Program& program, const ModelState& state);
[[nodiscard]] std::vector<Shape> parameter_shapes(const Program& program);

/// Numbers of the records that micro-batch (t, j) trains on: docs/spec/training.md, section 4.
[[nodiscard]] std::vector<uint64_t> batch_records(const Program& program, const Hash& run_seed,
                                                  uint64_t t, uint32_t j);

struct Batch {
    std::vector<uint32_t> tokens;   ///< B x T; none for images
    std::vector<uint32_t> targets;  ///< B x T; labels of images: B
    std::vector<float> features;    ///< images: B * positions x channels
};
/// What an image's byte is to a model: (byte - 127.5) / 127.5.
[[nodiscard]] float pixel_value(uint8_t byte);
[[nodiscard]] Result<Batch, EngineError> make_batch(const Program& program, BytesView data,
                                                    const std::vector<uint64_t>& records);

struct MicroBatchResult {
    uint32_t loss_bits = 0;  ///< 7fc00000 if nonfinite
    TensorSet gradients;     ///< in parameter order; all +0 if nonfinite
    bool nonfinite = false;
};

/// One program bound to one backend, with the planned memory. Not thread-safe.
class Engine {
public:
    /// `data`: the whole data set, if the program has constants in its base section. `cuts`: of a
    /// plan for this program; they change memory and time, never bits.
    [[nodiscard]] static Result<Engine, EngineError> make(const Program& program, Backend& backend,
                                                          BytesView data = {},
                                                          const Cuts& cuts = {});
    [[nodiscard]] static Result<Engine, EngineError> make(const Program& program, Backend& backend,
                                                          const std::vector<Tensor>& constants,
                                                          const Cuts& cuts = {});
    Engine(Engine&&) noexcept;
    Engine& operator=(Engine&&) noexcept;
    ~Engine();

    [[nodiscard]] const Program& program() const;
    [[nodiscard]] Backend& backend() const;

    /// The weights that the following calls use. A host backend reads them where they lie: `w` must
    /// stay in its place until the last of these calls.
    [[nodiscard]] Result<Done, EngineError> load_weights(const std::vector<Tensor>& w);
    Result<Done, EngineError> load_weights(std::vector<Tensor>&& w) = delete;
    /// The same with weights where the backend computes, as `parameter_shapes` says.
    void use_weights(const TensorSet& w);
    /// While it lives, weights that `use_weights` has named stay as they are, so that the backend
    /// may prepare them for all micro-batches of a step.
    class SteadyWeights {
    public:
        explicit SteadyWeights(const Engine& engine);
        SteadyWeights(const SteadyWeights&) = delete;
        SteadyWeights& operator=(const SteadyWeights&) = delete;
        ~SteadyWeights();

    private:
        Backend& backend_;
    };
    /// Forward and backward of one micro-batch with these weights.
    [[nodiscard]] Result<MicroBatchResult, EngineError> run_batch(const Batch& batch, uint32_t seed,
                                                                  uint32_t step_word);
    /// The same without waiting: leaves the sum of the losses at `loss_sum`, in memory of the
    /// backend, and raises the backend's flag where a loss or a gradient is Inf or NaN.
    [[nodiscard]] Result<TensorSet, EngineError> start_batch(const Batch& batch, uint32_t seed,
                                                             uint32_t step_word, float* loss_sum);
    /// What `start_batch` sums, divided by the number of losses.
    [[nodiscard]] float mean_loss(float loss_sum) const;
    /// Memory for one set of gradients, with anything in it. Error: out_of_memory.
    [[nodiscard]] Result<TensorSet, EngineError> take_gradients();
    /// Gradients that nobody needs any more: a later micro-batch writes into their memory.
    void recycle(TensorSet gradients);
    /// Forward only: the mean loss of a batch.
    [[nodiscard]] Result<uint32_t, EngineError> forward_loss(const Batch& batch);
    /// Forward only: input 0 of the loss; for text the logits, one row per position.
    [[nodiscard]] Result<Tensor, EngineError> forward_logits(const Batch& batch);

private:
    struct Impl;
    explicit Engine(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

/// Micro-batch j of step t with the weights loaded into the engine.
[[nodiscard]] Result<MicroBatchResult, EngineError> run_micro_batch(Engine& engine, BytesView data,
                                                                    const Hash& run_seed,
                                                                    uint64_t t, uint32_t j);
/// The same for micro-batch j of the state's step, without waiting: Engine::start_batch.
[[nodiscard]] Result<TensorSet, EngineError> start_micro_batch(Engine& engine, BytesView data,
                                                               const ModelState& state, uint32_t j,
                                                               float* loss_sum);

struct UpdateResult {
    uint32_t norm_bits = 0;
    bool nonfinite = false;  ///< then the state is unchanged
};

class LiveState;

/// One update with the summed gradients; step, cursor, p1 and p2 move on.
[[nodiscard]] Result<UpdateResult, EngineError> apply_update(const Program& program,
                                                             LiveState& state,
                                                             const TensorSet& gradients);

/// The scalars of the update that leads from step `t` to t + 1, and p1, p2 after it.
struct UpdateScalars {
    OptimiserKind kind = OptimiserKind::adamw;
    AdamwScalars adamw;
    SgdScalars sgd;
    uint32_t p1_bits = 0, p2_bits = 0;
};
[[nodiscard]] UpdateScalars update_scalars(const Program& program, uint64_t t, uint32_t p1_bits,
                                           uint32_t p2_bits, uint32_t norm_bits);

struct StepResult {
    uint32_t loss_bits = 0;                ///< tree sum of the losses / float(M)
    std::vector<uint32_t> unit_loss_bits;  ///< per micro-batch
    std::vector<Hash> unit_grad_roots;
    TensorSet gradients;  ///< summed, before the clip
    Hash grad_root;
    uint32_t norm_bits = 0;
    bool nonfinite = false;
    uint64_t wrong_products = 0;  ///< that this process saw, and made again: Backend
};

/// A whole step on `state`: all micro-batches, sum, update. Errors `diverged` and `wrong_product`
/// leave it unchanged; the latter is told where the step came out wrong three times. After
/// `state_changed`, which all processes of a crew get, it is of no further use.
/// With a crew each process computes its part, and all reach the same state; the crew's size
/// divides the micro-batches of a step, else the error is `wrong_shape`.
[[nodiscard]] Result<StepResult, EngineError> run_step(Engine& engine, LiveState& state,
                                                       BytesView data, Crew* crew = nullptr);
/// The same for one step alone: a device is sent the state and sends it back.
[[nodiscard]] Result<StepResult, EngineError> run_step(Engine& engine, ModelState& state,
                                                       BytesView data, Crew* crew = nullptr);

/// Mean loss over the held-out records; bits of a binary32.
[[nodiscard]] Result<uint32_t, EngineError> evaluate_held_out(Engine& engine,
                                                              const std::vector<Tensor>& w,
                                                              BytesView data);

struct Evaluation {
    uint32_t loss_bits = 0;
    uint64_t rows = 0;     ///< predictions made
    uint64_t correct = 0;  ///< whose largest logit is the target's; 0 for mean_square
};
/// The same with the number of right predictions.
[[nodiscard]] Result<Evaluation, EngineError> evaluate(Engine& engine, const std::vector<Tensor>& w,
                                                       BytesView data);

struct SampleOptions {
    uint32_t count = 200;      ///< tokens to generate
    float temperature = 0.8F;  ///< 0 takes the most likely token
    uint32_t seed = 0;
    std::vector<Tensor> constants = {};  ///< empty: the program's own
};
/// Continues `prompt`; the same bytes on every machine. wrong_shape for programs of images.
[[nodiscard]] Result<Bytes, EngineError> sample(const Program& program, Backend& backend,
                                                const std::vector<Tensor>& w, BytesView prompt,
                                                const SampleOptions& options);

}  // namespace trainyard::training
