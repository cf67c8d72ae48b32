// SPDX-License-Identifier: Apache-2.0
// numvec [--optional] PATH: checks every file of a folder of vectors; exit code 0 if all agree.
#include <cstdio>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>

#include "tests/numvec/suite.hpp"

namespace {

using trainyard::numvec::Json;
using trainyard::numvec::Suite;

struct Topic {
    const char* name;
    void (*run)(Suite&, const Json&);
};

constexpr Topic kTopics[] = {
    {"functions", trainyard::numvec::run_functions},
    {"philox", trainyard::numvec::run_philox},
    {"quantise", trainyard::numvec::run_quantise},
    {"reduce", trainyard::numvec::run_reduce},
    {"gemm", trainyard::numvec::run_gemm},
    {"rmsnorm", trainyard::numvec::run_rmsnorm},
    {"xent", trainyard::numvec::run_xent},
    {"attention", trainyard::numvec::run_attention},
    {"adamw", trainyard::numvec::run_adamw},
    {"block", trainyard::numvec::run_block},
    {"gpt", trainyard::numvec::run_gpt},
};

std::optional<Json> read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    return trainyard::numvec::parse_json(text);
}

/// False if the file is missing or not of the format.
bool run_topic(Suite& suite, const Topic& topic, const std::string& folder) {
    const auto file = read_file(folder + "/" + topic.name + ".json");
    if (!file || (*file)["format"].string != "rmp-numvec-1" ||
        (*file)["topic"].string != topic.name)
        return false;
    const size_t passed = suite.passed(), failed = suite.failed();
    topic.run(suite, *file);
    std::printf("%-10s %6zu passed, %zu failed\n", topic.name, suite.passed() - passed,
                suite.failed() - failed);
    return true;
}

}  // namespace

int main(int argc, char** argv) {
    const bool optional = argc == 3 && std::string(argv[1]) == "--optional";
    if (argc != 2 && !optional) {
        std::fprintf(stderr, "usage: numvec PATH\n");
        return 2;
    }
    const std::string folder = argv[argc - 1];
    Suite suite;
    size_t files = 0;
    for (const Topic& topic : kTopics) {
        if (run_topic(suite, topic, folder))
            ++files;
        else
            std::printf("%-10s no such file of format rmp-numvec-1\n", topic.name);
    }
    std::printf("%zu passed, %zu failed\n", suite.passed(), suite.failed());
    if (files == 0) return optional ? 77 : 2;
    return suite.failed() == 0 && suite.passed() > 0 ? 0 : 1;
}
