// SPDX-License-Identifier: Apache-2.0
// Measuring through the seam that training uses, so that no other code is measured.
#include "node/cli/machine.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "node/wallet/files.hpp"
#include "node/wallet/secrets.hpp"
#include "training/freivalds.hpp"
#include "training/runner.hpp"
#include "training/segment.hpp"
#include "training/state_root.hpp"

namespace trainyard::node::cli {

using training::BackendMemory;

double seconds_now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

double forecast_step(training::Backend& backend, const training::Plan& plan,
                     uint32_t micro_batches) {
    // A device shows its speed in large pieces only.
    const uint32_t n = backend.is_host() ? 512 : 4096;
    const size_t count = size_t{n} * n;
    const auto passed = static_cast<double>(count), multiplied = passed * n;
    training::BackendMemory x(backend, count * 4), y(backend, count * 4), z(backend, count * 4);
    if (!x.ok() || !y.ok() || !z.ok()) return 0;
    double product = 1e9, pass = 1e9;
    for (int turn = 0; turn < 5; ++turn) {
        const double start = seconds_now();
        backend.linear(y.floats(), x.floats(), z.floats(), {n, n, n});
        (void)backend.finish();
        const double middle = seconds_now();
        backend.gelu_grad(y.floats(), x.floats(), z.floats(), count);
        (void)backend.finish();
        product = std::min(product, middle - start);
        pass = std::min(pass, seconds_now() - middle);
    }
    // An operator quantises, packs and reads its operands again: twice the time of a simple pass.
    constexpr double kPasses = 2.0 / 3.0;
    return micro_batches *
           (product * static_cast<double>(plan.macs_per_micro_batch) / multiplied +
            kPasses * pass * static_cast<double>(plan.elements_per_micro_batch) / passed);
}

double forecast_roots(training::Backend& backend, const training::Program& program,
                      const training::Plan& plan) {
    // Pieces short enough for a quiet moment, and as many as make the caches work as in training.
    constexpr uint32_t rows = 256, cols = 2048;
    constexpr uint64_t pieces_max = 32;
    const auto pieces = std::clamp(plan.parameter_count / (rows * cols), uint64_t{1}, pieces_max);
    const std::vector<training::Tensor> piece{
        training::Tensor::zeros(training::Shape::matrix(rows, cols))};
    const std::vector<std::vector<training::Tensor>> model(pieces, piece);
    double best = 1e9;
    for (int turn = 0; turn < 5; ++turn)
        for (const auto& tensors : model) {
            const double start = seconds_now();
            (void)training::grad_root(tensors, backend.pool());
            best = std::min(best, seconds_now() - start);
        }
    return best * static_cast<double>(training::hashed_bytes_per_step(program)) /
           (sizeof(float) * double{rows} * cols);
}

double forecast_job_step(training::Backend& backend, const training::Program& program,
                         const training::Plan& plan) {
    const double step = forecast_step(backend, plan, program.run.micro_batches);
    // A device hashes what it holds, in a fraction of the time.
    return backend.is_host() ? step + forecast_roots(backend, program, plan) : step;
}

namespace {

/// Random integers in [-127, 127] with 127 in the first place of each group, whose scale is then
/// 127 / 127: quantised, they are themselves.
std::vector<int8_t> random_operand(size_t rows, size_t cols, bool groups_are_rows) {
    std::vector<uint8_t> words(rows * cols);
    wallet::fill_random(words);
    std::vector<int8_t> out(words.size());
    for (size_t i = 0; i < out.size(); ++i)
        out[i] = static_cast<int8_t>(std::max(static_cast<int>(words[i]) - 128, -127));
    if (groups_are_rows)
        for (size_t r = 0; r < rows; ++r) out[r * cols] = 127;
    else
        std::fill(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(cols), int8_t{127});
    return out;
}

bool upload(training::Backend& backend, BackendMemory& to, const std::vector<int8_t>& from) {
    const std::vector<float> values(from.begin(), from.end());
    if (!to.ok()) return false;
    backend.upload(to.data(), values.data(), values.size() * sizeof(float));
    return true;
}

/// The shortest of some turns, in seconds; 0 if the backend fails.
template <class Call>
double shortest(training::Backend& backend, const Call& call) {
    constexpr int kTurns = 5;
    double best = 0;
    for (int turn = 0; turn <= kTurns; ++turn) {  // the first one is not counted
        const double start = seconds_now();
        call();
        if (!backend.finish()) return 0;
        const double took = seconds_now() - start;
        if (turn > 0) best = best == 0 ? took : std::min(best, took);
    }
    return best;
}

std::optional<size_t> wrong_row(const ProductRate& of, const std::vector<int8_t>& a,
                                const std::vector<int8_t>& b, const std::vector<float>& c) {
    std::vector<uint64_t> secret(training::kFreivaldsVectors * of.n);
    wallet::fill_random({reinterpret_cast<uint8_t*>(secret.data()), secret.size() * 8});
    std::vector<int32_t> sums(c.size());
    for (size_t i = 0; i < c.size(); ++i)
        sums[i] = c[i] >= -2e9F && c[i] <= 2e9F ? static_cast<int32_t>(c[i]) : INT32_MIN;
    return training::first_wrong_row({a, b, sums, of.m, of.n, of.k}, secret);
}

}  // namespace

ProductRate measure_product(training::Backend& backend) {
    // Sums of 1,024 products of bytes are below 2^24: the float32 results are the exact integers.
    ProductRate out;
    out.k = 1024;
    out.m = out.n = backend.is_host() ? 1024 : 8192;
    const auto a = random_operand(out.m, out.k, true), b = random_operand(out.k, out.n, false);
    BackendMemory x(backend, a.size() * 4), w(backend, b.size() * 4);
    BackendMemory y(backend, size_t{out.m} * out.n * 4);
    if (!upload(backend, x, a) || !upload(backend, w, b) || !y.ok()) return out;
    const double took = shortest(backend, [&] {
        backend.linear(y.floats(), x.floats(), w.floats(), {out.m, out.k, out.n});
    });
    if (took == 0) return out;
    std::vector<float> c(size_t{out.m} * out.n);
    backend.download(c.data(), y.data(), c.size() * sizeof(float));
    if (!backend.finish()) return out;
    out.wrong_row = wrong_row(out, a, b, c);
    out.tops = 2e-12 * out.m * out.k * out.n / took;
    return out;
}

double measure_bandwidth(training::Backend& backend) {
    const size_t count = size_t{1} << (backend.is_host() ? 24 : 27);
    BackendMemory y(backend, count * 4), a(backend, count * 4), b(backend, count * 4);
    if (!y.ok() || !a.ok() || !b.ok()) return 0;
    const double took =
        shortest(backend, [&] { backend.add(y.floats(), a.floats(), b.floats(), count); });
    return took == 0 ? 0 : 1e-9 * 12 * static_cast<double>(count) / took;
}

std::string existing_folder(const std::string& folder) {
    std::filesystem::path existing = folder;
    std::error_code failed;
    while (!existing.empty() && !std::filesystem::exists(existing, failed))
        existing = existing.parent_path();
    return existing.empty() ? "." : existing.string();
}

std::optional<uint64_t> free_disk_bytes(const std::string& folder) {
    std::error_code failed;
    const auto space = std::filesystem::space(existing_folder(folder), failed);
    if (failed) return std::nullopt;
    return space.available;
}

provider::OfferRules offer_rules(uint32_t memory_mb, const std::string& datadir) {
    provider::OfferRules rules;
    rules.memory_bytes_max = uint64_t{memory_mb} << 20;
    rules.disk_bytes_free = [datadir] { return free_disk_bytes(datadir).value_or(UINT64_MAX); };
    return rules;
}

uint64_t available_memory_bytes() {
    constexpr std::string_view kField = "MemAvailable:";
    const auto text = wallet::read_text("/proc/meminfo", size_t{1} << 20);
    const auto at = text ? text->find(kField) : std::string::npos;
    return at == std::string::npos ? 0 : std::stoull(text->substr(at + kField.size())) * 1024;
}

}  // namespace trainyard::node::cli
