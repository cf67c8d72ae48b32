// SPDX-License-Identifier: Apache-2.0
// The fast CPU backend: one kernel table, a pool of threads, and the order of work.
#pragma once

#include <deque>
#include <functional>
#include <memory>

#include "training/backend.hpp"
#include "training/cpu/attention.hpp"
#include "training/cpu/kernels.hpp"
#include "training/cpu/operands.hpp"
#include "training/pool.hpp"

namespace trainyard::training::cpu {

/// c is m x n.
struct ProductSize {
    size_t m = 0, n = 0;
};

class CpuBackend : public Backend {
public:
    CpuBackend(const Kernels& kernels, unsigned threads);
    [[nodiscard]] std::string name() const override { return k_.name; }
    [[nodiscard]] Recipe recipe() const override { return Recipe::rmp1; }
    [[nodiscard]] bool is_host() const override { return true; }
    [[nodiscard]] Pool* pool() override { return &pool_; }
    [[nodiscard]] OperandMemory operand_memory() const override {
        return {k_.element_bytes, k_.stages};
    }
    [[nodiscard]] void* allocate(size_t bytes) override;
    void release(void* memory) override;
    void upload(void* to, const void* from_host, size_t bytes) override;
    void download(void* to_host, const void* from, size_t bytes) override;
    void fill_zero(float* x, size_t count) override;
    [[nodiscard]] Result<BackendStatus, BackendError> finish() override;
    void embedding(float* x, const uint32_t* tokens, const float* e, const float* pos,
                   EmbeddingShape s) override;
    void embedding_grad(float* de, float* dpos, const uint32_t* tokens, const float* d,
                        EmbeddingShape s) override;
    void rms_norm(float* y, float* r, const float* x, const float* g, MatrixShape s) override;
    void rms_norm_grad(float* dx, float* dg, const RmsNormGradInputs& in, MatrixShape s) override;
    void linear(float* y, const float* x, const float* w, LinearShape s) override;
    void linear_grad(float* dx, float* dw, const LinearGradInputs& in, LinearShape s,
                     Noise noise) override;
    void attention(float* out, float* stats, const float* qkv, AttentionShape s) override;
    void attention_grad(float* dqkv, const AttentionGradInputs& in, AttentionShape s,
                        AttentionNoise noise) override;
    void add(float* y, const float* a, const float* b, size_t count) override;
    void gelu(float* y, const float* u, size_t count) override;
    void gelu_grad(float* du, const float* da, const float* u, size_t count) override;
    void cross_entropy(float* losses, const float* z, const uint32_t* targets,
                       MatrixShape s) override;
    void cross_entropy_grad(float* dz, const float* z, const uint32_t* targets, MatrixShape s,
                            float inv_n) override;
    void sum(float* out, const float* x, size_t count) override;
    void sum_squares(float* out, const float* x, size_t count) override;
    void check_finite(const float* x, size_t count) override;
    void adamw(const AdamwTensors& tensors, size_t count, const AdamwScalars& s, float wd) override;
    void clip_norm(float* out, const float* squares, size_t count, float limit) override;
    void sgd(const AdamwTensors& tensors, size_t count, const SgdScalars& s, float wd) override;
    void tile_roots(void* out, std::span<const TensorView> tensors) override;
    void apply(const OpCall& call) override;

    /// Products, and heads of attention with such, whose sums were wrong and which were computed
    /// again since the start.
    [[nodiscard]] uint64_t wrong_products() const override { return wrong_; }

protected:
    /// For tests of the check: called when the sums of a product's left operand are known and it is
    /// about to run; of attention's, by all threads of the pool.
    virtual void before_product(const ProductArgs& args, unsigned attempt);

    /// Splits [0, count) into ranges that start at multiples of `step`.
    void ranges(size_t count, size_t step, const std::function<void(size_t, size_t)>& body);

    const Kernels& k_;
    Pool pool_;
    bool nonfinite_ = false;

private:
    void fill_rows(Operand& operand, const Source& s, Side side);
    void fill_cols(Operand& operand, const Source& s, Side side);
    /// c = a b, checked: `fill` quantises both operands, anew for each attempt.
    void multiply(float* c, Operand& a, Operand& b, ProductSize size,
                  const std::function<void()>& fill);
    void foresee_sums(const ProductArgs& args);
    void run_product(ProductArgs args, size_t rows_per_task);
    void make_words(uint16_t* out, size_t count, const PhiloxArgs& args);
    void add_up(float* out, const float* x, size_t count, float (*chunk)(const float* x, size_t n));

    void norm_grad_gain(float* dg, const RmsNormGradInputs& in, MatrixShape s);
    void collect_flags();
    void matmul(const OpCall& call);
    void matmul_grad(const OpCall& call);
    void linear_grad_x(const OpCall& call);

    Operand a_, b_, a2_, b2_;
    std::deque<HeadWorker> workers_;  ///< one per thread of the pool
    Buffer words_;
    std::vector<uint32_t> row_sums_, due_sums_, sums_;
    uint64_t wrong_ = 0;
    bool failed_ = false;  ///< a product was wrong again and again
};

}  // namespace trainyard::training::cpu

namespace trainyard::training {
/// The table of a path, or of the best one that this machine has.
[[nodiscard]] const cpu::Kernels& kernels_for(CpuPath path);
}  // namespace trainyard::training
