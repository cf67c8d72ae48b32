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

std::string run(std::map<std::string, std::string> values) {
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
    for (const auto& entry : fs::recursive_directory_iterator(argv[1])) {
        if (entry.path().filename() != "data.yaml") continue;
        const auto values = read_lines(entry.path());
        const std::string found = run(values);
        if (found == values.at("output")) {
            ++passed;
            continue;
        }
        ++failed;
        std::cout << entry.path().string() << ": expected " << values.at("output") << ", found "
                  << found << "\n";
    }
    std::cout << passed << " passed, " << failed << " failed\n";
    return failed == 0 && passed > 0 ? 0 : 1;
}
