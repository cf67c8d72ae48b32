// SPDX-License-Identifier: Apache-2.0
// Vectors of whole computations: optimiser steps, a transformer block, a training run of a small
// GPT.
#include <algorithm>
#include <cmath>

#include "tests/numvec/suite.hpp"
#include "training/live_state.hpp"
#include "training/numerics/functions.hpp"

namespace trainyard::numvec {

using namespace training;  // every name below is training's

namespace {

Tensor tensor(const Json& json) {
    const auto shape = integers(json["shape"]);
    Tensor t;
    t.shape = shape.size() == 1 ? Shape::vector(shape[0]) : Shape::matrix(shape.at(0), shape.at(1));
    t.data = floats(json);
    return t;
}

/// A program with the tensors of an optimiser case; its graph is never run.
Program optimiser_program(const Json& c, size_t steps) {
    Program p;
    p.optimiser = {word(c["b1"]), word(c["b2"]), word(c["eps"]), word(c["wd"]), {}};
    p.run = {static_cast<uint32_t>(steps), 1, 1, 1};
    return p;
}

void check_scalars(Suite& suite, const std::string& what, const UpdateScalars& s, const Json& c) {
    suite.check_scalar(what + " c", s.adamw.clip, c["c"]);
    suite.check_scalar(what + " p1", as_float(s.p1_bits), c["p1"]);
    suite.check_scalar(what + " p2", as_float(s.p2_bits), c["p2"]);
    if (c.has("ic1")) suite.check_scalar(what + " ic1", s.adamw.ic1, c["ic1"]);
    if (c.has("ic2")) suite.check_scalar(what + " ic2", s.adamw.ic2, c["ic2"]);
}

void check_optimiser(Suite& suite, Backend& backend, const Json& c) {
    const auto& steps = c["steps"].array;
    Program p = optimiser_program(c, steps.size());
    ModelState state;
    for (const Json& t : c["tensors"].array) {
        state.w.push_back(tensor(t["w0"]));
        state.m.push_back(Tensor::zeros(state.w.back().shape));
        state.v.push_back(Tensor::zeros(state.w.back().shape));
        p.parameters.push_back({"t", state.w.back().shape, t["decay"].boolean, Init::zeros, 0});
    }
    for (const Json& step : steps) p.optimiser.lr_bits.push_back(word(step["lr"]));
    for (const Json& step : steps) {
        const std::string what = backend.name() + " adamw " + c["name"].string;
        std::vector<Tensor> gradients;
        Floats squares;
        for (const Json& t : step["tensors"].array) {
            gradients.push_back(tensor(t["g"]));
            backend.sum_squares(&squares.emplace_back(), gradients.back().data.data(),
                                gradients.back().data.size());
        }
        const UpdateScalars scalars =
            update_scalars(p, state.step, state.p1_bits, state.p2_bits, word(step["norm"]));
        auto live = LiveState::load(backend, p, state);
        suite.check_true(what + " fits", live.has_value());
        if (!live) return;
        auto done = apply_update(p, *live, TensorSet::of(backend, gradients));
        suite.check_true(what + " runs", done.has_value());
        if (!done) return;
        suite.check(what + " sumsq", squares, step["sumsq"]);
        suite.check_scalar(what + " norm", as_float(done->norm_bits), step["norm"]);
        check_scalars(suite, what, scalars, step);
        for (size_t k = 0; k < state.w.size(); ++k) {
            const Json& due = step["tensors"].array[k];
            suite.check(what + " m", state.m[k].data, due["m"]);
            suite.check(what + " v", state.v[k].data, due["v"]);
            suite.check(what + " w", state.w[k].data, due["w"]);
        }
    }
}

}  // namespace

void run_adamw(Suite& suite, const Json& file) {
    for (const Json& c : file["cases"].array)
        for (const auto& backend : suite.backends()) check_optimiser(suite, *backend, c);
}

namespace {

/// One block with its buffers; the order of calls is that of the vectors' section 12.
class Block {
public:
    Block(Backend& backend, const Json& f) : backend_(backend), f_(f) {
        b_ = count(f["B"]), h_ = count(f["H"]), t_ = count(f["T"]), hd_ = count(f["hd"]);
        d_ = count(f["D"]), n_ = b_ * t_, wide_ = count(f["F"]);
    }

    void run(Suite& suite) {
        forward();
        for (const char* name :
             {"r1", "h1", "qkv", "O", "t1", "x1", "r2", "h2", "u", "a", "t2", "y"})
            suite.check(backend_.name() + " block " + name, at_[name], f_["forward"][name]);
        backward();
        for (const char* name : {"da", "du", "dh2", "dx1", "dO", "dqkv", "dh1", "dx"})
            suite.check(backend_.name() + " block " + name, at_[name], f_["backward"][name]);
        for (const char* name : {"g1", "Wqkv", "Wo", "g2", "W1", "W2"})
            suite.check(backend_.name() + " block d" + name, at_[std::string("d_") + name],
                        f_["grads"][name]);
    }

private:
    float* make(const std::string& name, size_t size) {
        at_[name].assign(size, 0.0F);
        return at_[name].data();
    }
    const float* param(const std::string& name) {
        return (at_["p_" + name] = floats(f_["params"][name])).data();
    }
    float* get(const std::string& name) { return at_[name].data(); }
    [[nodiscard]] Noise noise(const char* id) const {
        return {count(f_["seed"]), count(f_["step"]), count(f_["tensor_ids"][id])};
    }

    void linear(const char* y, const char* x, const char* w, uint32_t in, uint32_t out) {
        backend_.linear(make(y, size_t{n_} * out), get(x), param(w), {n_, in, out});
    }

    void forward() {
        at_["x"] = floats(f_["x"]);
        const size_t size = size_t{n_} * d_;
        backend_.rms_norm(make("h1", size), make("r1", n_), get("x"), param("g1"), {n_, d_});
        linear("qkv", "h1", "Wqkv", d_, 3 * d_);
        backend_.attention(make("O", size), make("stats", size_t{n_} * h_ * 2), get("qkv"),
                           {b_, h_, t_, hd_});
        linear("t1", "O", "Wo", d_, d_);
        backend_.add(make("x1", size), get("x"), get("t1"), size);
        backend_.rms_norm(make("h2", size), make("r2", n_), get("x1"), param("g2"), {n_, d_});
        linear("u", "h2", "W1", d_, wide_);
        backend_.gelu(make("a", size_t{n_} * wide_), get("u"), size_t{n_} * wide_);
        linear("t2", "a", "W2", wide_, d_);
        backend_.add(make("y", size), get("x1"), get("t2"), size);
    }

    void linear_grad(const char* dx, const char* dy, const char* x, const char* w, LinearShape s) {
        float* dw = make(std::string("d_") + w, size_t{s.i} * s.o);
        backend_.linear_grad(make(dx, size_t{s.n} * s.i), dw, {get(dy), get(x), param(w)}, s,
                             noise(w));
    }

    void norm_grad(const char* dx, const char* dy, const char* x, const char* r, const char* g,
                   const char* before) {
        float* to = make(dx, size_t{n_} * d_);
        backend_.rms_norm_grad(to, make(std::string("d_") + g, d_),
                               {get(dy), get(x), get(r), param(g), get(before)}, {n_, d_});
    }

    void backward() {
        at_["d"] = floats(f_["dy"]);
        linear_grad("da", "d", "a", "W2", {n_, wide_, d_});
        const size_t wide = size_t{n_} * wide_;
        backend_.gelu_grad(make("du", wide), get("da"), get("u"), wide);
        linear_grad("dh2", "du", "h2", "W1", {n_, d_, wide_});
        norm_grad("dx1", "dh2", "x1", "r2", "g2", "d");
        linear_grad("dO", "dx1", "O", "Wo", {n_, d_, d_});
        backend_.attention_grad(
            make("dqkv", size_t{n_} * 3 * d_), {get("dO"), get("O"), get("stats"), get("qkv")},
            {b_, h_, t_, hd_},
            {noise("dO").seed, noise("dO").step, noise("dO").tensor, noise("dS").tensor});
        linear_grad("dh1", "dqkv", "h1", "Wqkv", {n_, d_, 3 * d_});
        norm_grad("dx", "dh1", "x", "r1", "g1", "dx1");
    }

    Backend& backend_;
    const Json& f_;
    uint32_t b_, h_, t_, hd_, d_, n_, wide_;
    std::map<std::string, Floats> at_;
};

}  // namespace

void run_block(Suite& suite, const Json& file) {
    for (const auto& backend : suite.backends()) Block(*backend, file).run(suite);
}

namespace {

Result<Program, ProgramFault> gpt_program(const Json& f) {
    const Json& c = f["config"];
    GptOptions o;
    o.layers = count(c["L"]), o.width = count(c["D"]), o.heads = count(c["H"]);
    o.sequence = count(c["T"]), o.sequences = count(c["B"]), o.vocabulary = count(c["V"]);
    o.steps = count(f["steps"]), o.micro_batches = 1, o.segment_length = 1, o.held_out = 0;
    o.data_bytes = f["tokens"].array.size();
    auto program = make_gpt(o);
    if (!program) return program;
    program->optimiser = {word(f["b1"]), word(f["b2"]), word(f["eps"]), word(f["wd"]), {}};
    for (const Json& batch : f["batches"].array)
        program->optimiser.lr_bits.push_back(word(batch["lr"]));
    for (size_t k = 0; k < program->parameters.size(); ++k)
        program->parameters[k].decay = f["params"].array.at(k)["decay"].boolean;
    return program;
}

Batch gpt_batch(const Json& f, size_t step, uint32_t length) {
    const auto tokens = integers(f["tokens"]);
    Batch batch;
    for (const uint32_t o : integers(f["batches"].array[step]["offsets"]))
        for (uint32_t t = 0; t < length; ++t) {
            batch.tokens.push_back(tokens.at(o + t));
            batch.targets.push_back(tokens.at(o + t + 1));
        }
    return batch;
}

std::vector<std::span<const float>> data_of(const std::vector<Tensor>& tensors) {
    std::vector<std::span<const float>> out;
    for (const Tensor& t : tensors) out.push_back(t.data);
    return out;
}
std::vector<std::span<const float>> data_of(const TensorSet& tensors) {
    std::vector<std::span<const float>> out;
    for (size_t k = 0; k < tensors.size(); ++k) out.emplace_back(tensors.at(k), tensors.count(k));
    return out;
}

void check_checkpoint(Suite& suite, const std::string& what, const ModelState& s, const Json& c) {
    std::vector<std::span<const float>> all;
    for (size_t k = 0; k < s.w.size(); ++k)
        for (const Tensor* t : {&s.w[k], &s.m[k], &s.v[k]}) all.push_back(t->data);
    suite.check_sha256(what + " wmv", all, c["sha256_wmv"]);
    suite.check_sha256(what + " w", data_of(s.w), c["sha256_w"]);
    suite.check_sha256(what + " m", data_of(s.m), c["sha256_m"]);
    suite.check_sha256(what + " v", data_of(s.v), c["sha256_v"]);
    for (size_t k = 0; k < s.w.size(); ++k) {
        const Json& t = c["tensors"].array.at(k);
        suite.check_sha256(what + " tensor w", {s.w[k].data}, t["w"]);
        suite.check_sha256(what + " tensor m", {s.m[k].data}, t["m"]);
        suite.check_sha256(what + " tensor v", {s.v[k].data}, t["v"]);
    }
}

class GptRun {
public:
    GptRun(Suite& suite, Backend& backend, const Json& file, Program program)
        : suite_(suite), backend_(backend), f_(file), program_(std::move(program)) {
        for (const Json& p : f_["params"].array) {
            state_.w.push_back(tensor(p["w0"]));
            state_.m.push_back(Tensor::zeros(state_.w.back().shape));
            state_.v.push_back(Tensor::zeros(state_.w.back().shape));
        }
    }

    void run() {
        auto engine = Engine::make(program_, backend_);
        suite_.check_true(name("engine"), engine.has_value());
        for (uint32_t s = 0; engine && s < program_.run.steps; ++s)
            if (!step(*engine, s)) return;
    }

private:
    [[nodiscard]] std::string name(const std::string& what) const {
        return backend_.name() + " gpt " + what;
    }

    bool step(Engine& engine, uint32_t s) {
        const Json& due = f_["results"].array.at(s);
        const Batch batch = gpt_batch(f_, s, program_.data.sequence);
        if (!engine.load_weights(state_.w)) return false;
        auto logits = engine.forward_logits(batch);
        auto result = engine.run_batch(batch, count(f_["seed"]), s);
        suite_.check_true(name("runs"), logits && result);
        if (!logits || !result) return false;
        suite_.check_sha256(name("logits"), {logits->data}, due["sha256_logits"]);
        suite_.check_sha256(name("gradients"), data_of(result->gradients), due["sha256_grads"]);
        suite_.check_scalar(name("loss"), as_float(result->loss_bits), due["loss"]);
        if (s == 0) check_trace(*logits, result->gradients);
        const auto scalars =
            update_scalars(program_, s, state_.p1_bits, state_.p2_bits, word(due["norm"]));
        auto live = LiveState::load(backend_, program_, state_);
        auto update =
            live ? apply_update(program_, *live, result->gradients) : unexpected(live.error());
        suite_.check_true(name("updates"), update.has_value());
        if (!update) return false;
        suite_.check_scalar(name("norm"), as_float(update->norm_bits), due["norm"]);
        check_scalars(suite_, name("step"), scalars, due);
        for (const Json& c : f_["checkpoints"].array)
            if (count(c["after_steps"]) == s + 1)
                check_checkpoint(suite_, name("checkpoint"), state_, c);
        return true;
    }

    void check_trace(const Tensor& logits, const TensorSet& gradients) {
        const Json& trace = f_["trace_step0"];
        suite_.check(name("trace logits"), logits.data, trace["logits"]);
        for (size_t k = 0; k < gradients.size(); ++k)
            suite_.check(name("trace " + trace["grads"].array.at(k)["name"].string),
                         {gradients.at(k), gradients.at(k) + gradients.count(k)},
                         trace["grads"].array.at(k)["g"]);
    }

    Suite& suite_;
    Backend& backend_;
    const Json& f_;
    Program program_;
    ModelState state_;
};

}  // namespace

void run_gpt(Suite& suite, const Json& file) {
    auto program = gpt_program(file);
    suite.check_true("gpt program", program.has_value());
    if (!program) return;
    for (const auto& backend : suite.backends()) GptRun(suite, *backend, file, *program).run();
}

}  // namespace trainyard::numvec
