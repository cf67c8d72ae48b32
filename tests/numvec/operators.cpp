// SPDX-License-Identifier: Apache-2.0
// Vectors of single operators: the reference with its intermediates, then every backend's results.
#include <cmath>

#include "tests/numvec/suite.hpp"
#include "training/numerics/functions.hpp"
#include "training/numerics/philox.hpp"
#include "training/numerics/reduce.hpp"
#include "training/reference/attention.hpp"
#include "training/reference/ops.hpp"
#include "training/reference/products.hpp"

namespace trainyard::numvec {

namespace reference = training::reference;
using reference::Grouping;
using training::Backend;

namespace {

std::optional<reference::Rounding> rounding_of(const Json& stochastic, uint64_t idx0,
                                               uint64_t stride) {
    if (stochastic.is_null()) return std::nullopt;
    const training::Noise noise{count(stochastic["seed"]), count(stochastic["step"]),
                                count(stochastic["tensor"])};
    return reference::Rounding{noise, idx0, stride};
}

uint32_t rows(const Json& tensor) {
    return count(tensor["shape"].array.at(0));
}
uint32_t cols(const Json& tensor) {
    return count(tensor["shape"].array.at(1));
}

float apply(const std::string& name, float x) {
    if (name == "exp") return training::exp(x);
    if (name == "log") return training::log(x);
    if (name == "tanh") return training::tanh(x);
    if (name == "gelu") return training::gelu(x);
    return training::gelu_grad(x);
}

}  // namespace

void run_functions(Suite& suite, const Json& file) {
    for (const Json& c : file["cases"].array) {
        const std::string& name = c["name"].string;
        const Floats x = floats(c["x"]);
        Floats y;
        for (const float value : x) y.push_back(apply(name, value));
        suite.check("functions " + name, y, c["y"]);
        for (const auto& backend : suite.backends()) {
            const Floats ones(x.size(), 1.0F);
            if (name == "gelu") backend->gelu(y.data(), x.data(), x.size());
            if (name == "gelu_grad") backend->gelu_grad(y.data(), ones.data(), x.data(), x.size());
            if (name == "gelu" || name == "gelu_grad")
                suite.check(backend->name() + " " + name, y, c["y"]);
        }
    }
}

void run_philox(Suite& suite, const Json& file) {
    for (const Json& c : file["blocks"].array) {
        const auto x = words(c["counter"]), key = words(c["key"]);
        const auto out =
            training::philox({x.at(0), x.at(1), x.at(2), x.at(3)}, key.at(0), key.at(1));
        suite.check_words("philox block", {out.begin(), out.end()}, c["out"]);
    }
    for (const Json& c : file["u16"].array) {
        std::vector<uint32_t> got;
        const auto idx0 = static_cast<uint64_t>(c["idx0"].integer);
        for (uint64_t i = 0; i < words(c["u16"]).size(); ++i)
            got.push_back(training::rounding_word(idx0 + i, count(c["tensor"]), count(c["step"]),
                                                  count(c["seed"])));
        suite.check_words("philox u16", got, c["u16"]);
    }
}

void run_quantise(Suite& suite, const Json& file) {
    for (const Json& c : file["cases"].array) {
        const std::string what = "quantise " + c["name"].string;
        const Floats x = floats(c["x"]);
        const uint32_t r = rows(c["x"]), k = cols(c["x"]);
        const uint64_t stride = c["idx_ld"].is_null() ? k : c["idx_ld"].integer;
        const auto rounding =
            rounding_of(c["stochastic"], static_cast<uint64_t>(c["idx0"].integer), stride);
        const auto q = reference::quantise(
            {x.data(), r, k, k}, c["axis"].string == "row" ? Grouping::rows : Grouping::cols,
            rounding);
        suite.check(what + " scale", q.scale, c["scale"]);
        suite.check(what + " inv", q.inv, c["inv"]);
        suite.check_int8(what + " q", q.q, c["q"]);
    }
}

namespace {

void check_sums(Suite& suite, const std::string& what, const Floats& x, size_t n, const Json& c) {
    for (const auto& backend : suite.backends()) {
        float sum = -1, squares = -1;
        backend->sum(&sum, x.data(), n);
        backend->sum_squares(&squares, x.data(), n);
        suite.check_scalar(backend->name() + " " + what + " sum", sum, c["sum"]);
        suite.check_scalar(backend->name() + " " + what + " sumsq", squares, c["sumsq"]);
    }
}

}  // namespace

void run_reduce(Suite& suite, const Json& file) {
    const Floats x = floats(file["x"]), y = floats(file["y"]);
    for (const Json& c : file["prefix"].array) {
        const size_t n = count(c["n"]);
        check_sums(suite, "prefix", x, n, c);
        suite.check_scalar("prefix dot", reference::dot(x.data(), y.data(), n), c["dot"]);
    }
    for (const Json& c : file["columns"].array) {
        const size_t r = count(c["R"]), k = count(c["C"]);
        Floats got;
        for (size_t col = 0; col < k; ++col)
            got.push_back(
                training::reduce(r, [&](float acc, size_t row) { return acc + x[row * k + col]; }));
        suite.check("reduce columns", got, c["sum"]);
    }
    for (const Json& c : file["small"].array) {
        const Floats own = floats(c["x"]);
        check_sums(suite, c["name"].string, own, own.size(), c);
    }
    for (const Json& c : file["generated"].array) {
        Floats own;
        for (uint32_t i = 0; i < count(c["n"]); ++i) {
            const auto block = training::philox({i >> 2, 0, 0, 7}, count(c["seed"]), 0);
            own.push_back(static_cast<float>(static_cast<int32_t>(block[i & 3])) * 0x1p-31F);
        }
        suite.check_scalar("generated first", own.front(), c["x0"]);
        suite.check_scalar("generated last", own.back(), c["x_last"]);
        check_sums(suite, "generated", own, own.size(), c);
    }
}

namespace {

void check_product(Suite& suite, const Json& c) {
    const std::string what = "gemm " + c["name"].string, form = c["form"].string;
    const reference::ProductSize size{count(c["M"]), count(c["N"]), count(c["K"])};
    const Floats a = floats(c["a"]), b = floats(c["b"]);
    const uint32_t ra = rows(c["a"]), ca = cols(c["a"]), rb = rows(c["b"]), cb = cols(c["b"]);
    const auto qa =
        reference::quantise({a.data(), ra, ca, ca}, form == "TN" ? Grouping::cols : Grouping::rows,
                            rounding_of(c["stochastic_a"], 0, ca));
    const auto qb =
        reference::quantise({b.data(), rb, cb, cb}, form == "NT" ? Grouping::rows : Grouping::cols,
                            rounding_of(c["stochastic_b"], 0, cb));
    suite.check_int8(what + " qa", qa.q, c["qa"]);
    suite.check_int8(what + " qb", qb.q, c["qb"]);
    suite.check(what + " sa", qa.scale, c["sa"]);
    suite.check(what + " sb", qb.scale, c["sb"]);
    const auto acc = reference::multiply(qa, qb,
                                         form == "NN"   ? reference::Form::nn
                                         : form == "NT" ? reference::Form::nt
                                                        : reference::Form::tn,
                                         size);
    suite.check_words(what + " acc", {acc.begin(), acc.end()}, c["acc"]);
    Floats out(size.m * size.n);
    const float alpha = c["alpha"].is_null() ? 1.0F : real(c["alpha"]);
    reference::dequantise(out.data(), size.n, acc, size, qa.scale.data(), qb.scale.data(),
                          c["alpha"].is_null() ? nullptr : &alpha);
    suite.check(what + " c", out, c["c"]);
    const bool plain = c["alpha"].is_null() && c["stochastic_a"].is_null() &&
                       c["stochastic_b"].is_null() && form == "NN";
    if (!plain) return;
    for (const auto& backend : suite.backends()) {
        Floats y(size.m * size.n);
        backend->linear(y.data(), a.data(), b.data(),
                        {static_cast<uint32_t>(size.m), static_cast<uint32_t>(size.k),
                         static_cast<uint32_t>(size.n)});
        suite.check(backend->name() + " " + what, y, c["c"]);
    }
}

}  // namespace

void run_gemm(Suite& suite, const Json& file) {
    for (const Json& c : file["cases"].array) check_product(suite, c);
    for (const Json& c : file["linear"].array) {
        const training::LinearShape s{count(c["N"]), count(c["I"]), count(c["O"])};
        const Floats x = floats(c["x"]), w = floats(c["w"]), dy = floats(c["dy"]);
        const auto rounding = rounding_of(c["stochastic"], 0, s.o);
        for (const auto& backend : suite.backends()) {
            Floats y(size_t{s.n} * s.o), dx(x.size()), dw(w.size());
            backend->linear(y.data(), x.data(), w.data(), s);
            backend->linear_grad(dx.data(), dw.data(), {dy.data(), x.data(), w.data()}, s,
                                 rounding->noise);
            suite.check(backend->name() + " linear y", y, c["y"]);
            suite.check(backend->name() + " linear dx", dx, c["dx"]);
            suite.check(backend->name() + " linear dw", dw, c["dw"]);
        }
    }
}

void run_rmsnorm(Suite& suite, const Json& file) {
    for (const Json& c : file["cases"].array) {
        const training::MatrixShape s{count(c["T"]), count(c["D"])};
        const Floats x = floats(c["x"]), g = floats(c["g"]), dy = floats(c["dy"]);
        for (const auto& backend : suite.backends()) {
            Floats y(x.size()), r(s.rows), dx = floats(c["dx_in"]), dg(s.cols);
            backend->rms_norm(y.data(), r.data(), x.data(), g.data(), s);
            backend->rms_norm_grad(dx.data(), dg.data(),
                                   {dy.data(), x.data(), r.data(), g.data(), dx.data()}, s);
            suite.check(backend->name() + " rmsnorm r", r, c["r"]);
            suite.check(backend->name() + " rmsnorm y", y, c["y"]);
            suite.check(backend->name() + " rmsnorm dx", dx, c["dx_out"]);
            suite.check(backend->name() + " rmsnorm dg", dg, c["dg"]);
        }
    }
}

void run_xent(Suite& suite, const Json& file) {
    for (const Json& c : file["cases"].array) {
        const std::string what = "xent " + c["name"].string;
        const training::MatrixShape s{count(c["N"]), count(c["V"])};
        const Floats z = floats(c["z"]);
        const auto target = integers(c["target"]);
        Floats max, sum;
        for (size_t n = 0; n < s.rows; ++n) {
            const auto row =
                reference::loss_row(nullptr, z.data() + n * s.cols, target.at(n), s.cols);
            max.push_back(row.max);
            sum.push_back(row.sum);
        }
        suite.check(what + " max", max, c["max"]);
        suite.check(what + " sum", sum, c["sum"]);
        for (const auto& backend : suite.backends()) {
            Floats losses(s.rows), dz(z.size());
            backend->cross_entropy(losses.data(), z.data(), target.data(), s);
            backend->cross_entropy_grad(dz.data(), z.data(), target.data(), s,
                                        1.0F / static_cast<float>(s.rows));
            float total = 0;
            backend->sum(&total, losses.data(), s.rows);
            suite.check(backend->name() + " " + what + " loss", losses, c["loss"]);
            suite.check(backend->name() + " " + what + " dz", dz, c["dz"]);
            suite.check_scalar(backend->name() + " " + what + " mean",
                               total / static_cast<float>(s.rows), c["mean"]);
        }
    }
}

namespace {

struct HeadTraces {
    Floats s, p, sv, sp, dp, dot, ds;
    std::vector<int8_t> qv, qp;
};

template <class T>
void extend(std::vector<T>& to, const std::vector<T>& from) {
    to.insert(to.end(), from.begin(), from.end());
}

/// The vectors hold +0 above the diagonal; a -0 on or below it must match.
void check_traces(Suite& suite, const HeadTraces& t, const Json& c) {
    suite.check("attention S", t.s, c["S"]);
    suite.check("attention P", t.p, c["P"]);
    suite.check("attention sV", t.sv, c["sV"]);
    suite.check_int8("attention qV", t.qv, c["qV"]);
    suite.check("attention sP", t.sp, c["sP"]);
    suite.check_int8("attention qP", t.qp, c["qP"]);
    suite.check("attention dP", t.dp, c["dP"]);
    suite.check("attention dot", t.dot, c["dot"]);
    suite.check("attention dS", t.ds, c["dS"]);
}

}  // namespace

void run_attention(Suite& suite, const Json& file) {
    for (const Json& c : file["cases"].array) {
        const training::AttentionShape s{count(c["B"]), count(c["H"]), count(c["T"]),
                                         count(c["hd"])};
        const training::AttentionNoise noise{count(c["seed"]), count(c["step"]),
                                             count(c["tensor_dO"]), count(c["tensor_dS"])};
        const Floats qkv = floats(c["qkv"]), d_out = floats(c["dO"]);
        HeadTraces traces;
        Floats out(d_out.size()), dqkv(qkv.size());
        for (size_t b = 0; b < s.b; ++b)
            for (size_t h = 0; h < s.h; ++h) {
                const auto f = reference::attend(out.data(), qkv.data(), s, b, h);
                const auto g = reference::attend_grad(
                    dqkv.data(), {d_out.data(), out.data(), nullptr, qkv.data()}, f, s, b, h,
                    noise);
                extend(traces.s, f.s);
                extend(traces.p, f.p);
                extend(traces.sv, f.v.scale);
                extend(traces.qv, f.v.q);
                extend(traces.sp, f.p_scaled.scale);
                extend(traces.qp, f.p_scaled.q);
                extend(traces.dp, g.dp);
                extend(traces.dot, g.dot);
                extend(traces.ds, g.ds);
            }
        check_traces(suite, traces, c);
        for (const auto& backend : suite.backends()) {
            Floats o(d_out.size()), stats(size_t{s.b} * s.h * s.t * 2), grad(qkv.size());
            backend->attention(o.data(), stats.data(), qkv.data(), s);
            backend->attention_grad(grad.data(), {d_out.data(), o.data(), stats.data(), qkv.data()},
                                    s, noise);
            suite.check(backend->name() + " attention O", o, c["O"]);
            suite.check(backend->name() + " attention dqkv", grad, c["dqkv"]);
        }
    }
}

}  // namespace trainyard::numvec
