// SPDX-License-Identifier: Apache-2.0
// Reads values of the vector files and counts which outputs agree bit for bit.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tests/numvec/json.hpp"
#include "training/backend.hpp"

namespace trainyard::numvec {

using Floats = std::vector<float>;

/// Elements of a tensor value whose digits are `digits` wide.
[[nodiscard]] std::vector<uint32_t> words(const Json& tensor);
[[nodiscard]] Floats floats(const Json& tensor);
[[nodiscard]] std::vector<uint32_t> integers(const Json& array);
[[nodiscard]] uint32_t word(const Json& scalar);
[[nodiscard]] uint32_t count(const Json& integer);
[[nodiscard]] float real(const Json& scalar);

class Suite {
public:
    Suite();
    void check(const std::string& what, const Floats& got, const Json& expected);
    void check_words(const std::string& what, const std::vector<uint32_t>& got,
                     const Json& expected);
    void check_int8(const std::string& what, const std::vector<int8_t>& got, const Json& expected);
    void check_scalar(const std::string& what, float got, const Json& expected);
    void check_sha256(const std::string& what, const std::vector<std::span<const float>>& got,
                      const Json& expected);
    void check_true(const std::string& what, bool ok);

    /// All paths this machine can run; the reference is the first.
    [[nodiscard]] const std::vector<std::unique_ptr<training::Backend>>& backends() const {
        return backends_;
    }
    [[nodiscard]] size_t passed() const { return passed_; }
    [[nodiscard]] size_t failed() const { return failed_; }

private:
    std::vector<std::unique_ptr<training::Backend>> backends_;
    size_t passed_ = 0, failed_ = 0;
};

void run_functions(Suite& suite, const Json& file);
void run_philox(Suite& suite, const Json& file);
void run_quantise(Suite& suite, const Json& file);
void run_reduce(Suite& suite, const Json& file);
void run_gemm(Suite& suite, const Json& file);
void run_rmsnorm(Suite& suite, const Json& file);
void run_xent(Suite& suite, const Json& file);
void run_attention(Suite& suite, const Json& file);
void run_adamw(Suite& suite, const Json& file);
void run_block(Suite& suite, const Json& file);
void run_gpt(Suite& suite, const Json& file);

}  // namespace trainyard::numvec
