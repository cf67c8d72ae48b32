// SPDX-License-Identifier: Apache-2.0
// kzgtest FOLDER: runs every data.yaml below the folder: four inputs and the output true, false or
// null.
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>

#include "vm/precompiles/bls12381/kzg.hpp"

namespace {

namespace fs = std::filesystem;
using trainyard::Bytes;

/// The `key: value` lines of a file, whatever their depth, without quotes.
std::map<std::string, std::string> read_lines(const fs::path& path) {
    std::map<std::string, std::string> values;
    std::ifstream in(path);
    for (std::string line; std::getline(in, line);) {
        const auto colon = line.find(": ");
        if (colon == std::string::npos) continue;
        std::string value = line.substr(colon + 2);
        std::erase(value, '\'');
        values[line.substr(line.find_first_not_of(' '), colon - line.find_first_not_of(' '))] =
            value;
    }
    return values;
}

/// Empty if the file has all that a case needs.
std::string missing_key(const std::map<std::string, std::string>& values) {
    for (const char* key : {"commitment", "z", "y", "proof", "output"})
        if (values.count(key) == 0) return key;
    return "";
}

/// Precondition: no key is missing.
std::string run(const std::map<std::string, std::string>& values) {
    const auto bytes = [&](const char* key) {
        return trainyard::from_hex(values.at(key)).value_or(Bytes());
    };
    const auto answer = trainyard::vm::bls12381::verify_kzg_proof(bytes("commitment"), bytes("z"),
                                                                  bytes("y"), bytes("proof"));
    return !answer ? "null" : *answer ? "true" : "false";
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: kzgtest FOLDER\n";
        return 2;
    }
    int passed = 0, failed = 0;
    std::error_code error;
    for (fs::recursive_directory_iterator at(argv[1], error), end; !error && at != end;
         at.increment(error)) {
        const auto& entry = *at;
        if (entry.path().filename() != "data.yaml") continue;
        const auto values = read_lines(entry.path());
        if (const auto key = missing_key(values); !key.empty()) {
            std::cerr << entry.path().string() << ": has no '" << key
                      << "': this is no case of verify_kzg_proof\n";
            return 2;
        }
        const std::string found = run(values);
        if (found == values.at("output")) {
            ++passed;
            continue;
        }
        ++failed;
        std::cout << entry.path().string() << ": expected " << values.at("output") << ", found "
                  << found << "\n";
    }
    if (error) {
        std::cerr << argv[1] << ": cannot be read (" << error.message() << ")\n";
        return 2;
    }
    std::cout << passed << " passed, " << failed << " failed\n";
    return failed == 0 && passed > 0 ? 0 : 1;
}
