// SPDX-License-Identifier: Apache-2.0
// The real verifier process with one fault: it is killed, hangs, eats memory, loses its device
// while it judges, or says what it got at beyond its work.
//
// usage: faulty_verifier FAULT TIMES MARKS verifier --fd 3 --threads N [--memory-mb N]
//        --sandbox MODE [--hide PATH]... [--no-cuda]
// The first TIMES processes have the fault; each leaves one byte in the file MARKS. With --no-cuda
// none has a fault of the device.
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "node/verify/child_verifier.hpp"
#include "tests/node/verify/escapes.hpp"

namespace {

using namespace trainyard;
using namespace trainyard::node::verify;

class Faulty final : public Verifier {
public:
    Faulty(std::string fault, std::string folder, Verifier& honest)
        : fault_(std::move(fault)), folder_(std::move(folder)), honest_(honest) {}
    std::string name() override { return fault_.empty() ? honest_.name() : "cuda " + fault_; }
    Result<std::vector<AuditResult>, VerifyError> audit(const AuditRequest& request) override {
        act();
        if (fault_ == "device") return std::vector<AuditResult>(request.audits.size(), failed());
        return honest_.audit(request);
    }
    AuditResult replay(const ReplayRequest& request) override {
        act();
        if (fault_ == "spy") return VerifyAnswer{true, {}, reached(folder_), {}};
        return fault_ == "device" ? failed() : honest_.replay(request);
    }
    Result<Pick, VerifyError> pick(const PickRequest& request) override {
        act();
        if (fault_ == "device") return unexpected(failed().error());
        return honest_.pick(request);
    }

private:
    static AuditResult failed() {
        return unexpected(VerifyError{VerifyErrorCode::device_failed, "the device failed"});
    }
    void act() const {
        if (fault_ == "kill") ::raise(SIGKILL);
        if (fault_ == "hang") std::this_thread::sleep_for(std::chrono::hours(1));
        std::vector<Bytes> eaten;
        while (fault_ == "memory") eaten.emplace_back(size_t{16} << 20, uint8_t{1});
    }

    std::string fault_, folder_;
    Verifier& honest_;
};

}  // namespace

int main(int count, char** words) {
    if (count < 8) return 2;
    std::string fault = words[1];
    const std::string marks = words[3];
    std::error_code absent;
    const auto used = std::filesystem::file_size(marks, absent);
    const bool is_cpu = std::string(words[count - 1]) == "--no-cuda";
    if ((!absent && used >= std::stoull(words[2])) || (is_cpu && fault == "device")) fault.clear();
    std::ofstream(marks, std::ios::app) << '.';
    uint64_t memory_mb = 0;
    SandboxOptions sandbox;
    for (int i = 4; i + 1 < count; ++i) {
        const std::string flag = words[i];
        if (flag == "--memory-mb") memory_mb = std::stoull(words[i + 1]);
        if (flag == "--sandbox") sandbox.mode = *sandbox_mode_from(words[i + 1]);
        if (flag == "--hide") sandbox.hidden.emplace_back(words[i + 1]);
    }
    const auto confined = enter_sandbox(sandbox).confined;
    exit_when_out_of_memory();
    const auto honest = make_local_verifier(choose_backend({1, false}), 1, memory_mb << 20);
    Faulty verifier(fault, std::filesystem::path(marks).parent_path().string(), *honest);
    return serve_verifier(3, verifier, confined);
}
