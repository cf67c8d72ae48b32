// SPDX-License-Identifier: Apache-2.0
// The vectors name no address and no fork; the file's name tells both.
#include "tests/conformance/precompiletest.hpp"

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "vm/precompiles.hpp"

namespace trainyard::conformance {
namespace {

using vm::Revision;

struct Subject {
    std::string_view file;  ///< without "fail-" and ".json"
    uint16_t number;
    Revision revision = Revision::osaka;
};
constexpr Subject kSubjects[] = {
    {"ecRecover", 0x01},
    {"modexp", 0x05, Revision::byzantium},
    {"modexp_eip2565", 0x05, Revision::prague},
    {"modexp_eip7883", 0x05},
    {"bn256Add", 0x06},
    {"bn256ScalarMul", 0x07},
    {"bn256Pairing", 0x08},
    {"blake2F", 0x09},
    {"blake2f", 0x09},
    {"pointEvaluation", 0x0a},
    {"blsG1Add", 0x0b},
    {"blsG1Mul", 0x0c},
    {"blsG1MultiExp", 0x0c},
    {"blsG2Add", 0x0d},
    {"blsG2Mul", 0x0e},
    {"blsG2MultiExp", 0x0e},
    {"blsPairing", 0x0f},
    {"blsMapG1", 0x10},
    {"blsMapG2", 0x11},
    {"p256Verify", 0x100},
};

Subject subject_of(const std::string& path) {
    std::string stem = std::filesystem::path(path).stem().string();
    if (stem.starts_with("fail-")) stem = stem.substr(5);
    const auto* const found = std::find_if(std::begin(kSubjects), std::end(kSubjects),
                                           [&](const Subject& s) { return s.file == stem; });
    if (found == std::end(kSubjects)) throw BadVector{"no precompile is known for this file"};
    return *found;
}

/// Empty if output and gas are right, and one gas less is too little.
std::string run_case(const json::object& o, const Address& address, Revision revision) {
    const Bytes input = bytes_of(o.at("Input"));
    constexpr int64_t kPlenty = 1'000'000'000;
    if (find(o, "ExpectedError") != nullptr) {
        const auto result = vm::run_precompile(address, revision, input, kPlenty);
        return result.status == vm::Status::success ? "expected failure, found success" : "";
    }
    const auto gas = static_cast<int64_t>(small_number_at(o, "Gas"));
    const auto result = vm::run_precompile(address, revision, input, gas);
    if (result.status != vm::Status::success)
        return "expected success, found " + std::string(to_text(result.status));
    if (result.gas_left != 0)
        return "expected gas " + std::to_string(gas) + ", found " +
               std::to_string(gas - result.gas_left);
    if (result.output != bytes_of(o.at("Expected")))
        return "expected " + std::string(o.at("Expected").as_string()) + ", found " +
               to_hex(result.output);
    const auto poorer = vm::run_precompile(address, revision, input, gas - 1);
    return poorer.status == vm::Status::out_of_gas ? "" : "one gas less is enough too";
}

}  // namespace

Tally run_precompile_file(const json::value& file, const std::string& path, const Options&) {
    const Subject subject = subject_of(path);
    Address address;
    address[18] = static_cast<uint8_t>(subject.number >> 8);
    address[19] = static_cast<uint8_t>(subject.number);
    Tally tally;
    for (const auto& item : file.as_array()) {
        if (!vm::is_precompile(address, subject.revision)) {
            ++tally.excluded;
            continue;
        }
        const auto& o = item.as_object();
        const auto difference = run_case(o, address, subject.revision);
        tally.expect(difference.empty(),
                     path + " " + std::string(o.at("Name").as_string()) + ": " + difference);
    }
    return tally;
}

}  // namespace trainyard::conformance
