# What `cmake --install` puts where, and the Debian package that CPack makes of it. The units name /usr/bin, the prefix of the
# presets, and /etc.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)  # the tests are not installed
set_target_properties(trainyard PROPERTIES SKIP_BUILD_RPATH ON)  # all libraries are the system's

set(package ${CMAKE_SOURCE_DIR}/tools/package)
install(TARGETS trainyard DESTINATION bin)
install(FILES ${package}/trainyard.service ${package}/trainyard-signer.service ${package}/trainyard-provider.service
  DESTINATION lib/systemd/system)
install(FILES ${package}/sysusers.conf DESTINATION lib/sysusers.d RENAME trainyard.conf)
install(FILES ${package}/tmpfiles.conf DESTINATION lib/tmpfiles.d RENAME trainyard.conf)
install(FILES ${package}/node.toml ${package}/signer.env ${package}/provider.env
  DESTINATION /etc/trainyard)
install(FILES ${CMAKE_SOURCE_DIR}/tools/monitoring/grafana.json ${CMAKE_SOURCE_DIR}/tools/monitoring/alerts.yaml
  DESTINATION share/trainyard)
install(FILES ${package}/copyright ${CMAKE_SOURCE_DIR}/README.md DESTINATION share/doc/trainyard)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/docs/ DESTINATION share/doc/trainyard
  FILES_MATCHING PATTERN "*.md" PATTERN notes EXCLUDE PATTERN model EXCLUDE)

# The program writes its manual and completions itself.
set(written ${CMAKE_BINARY_DIR}/written)
file(MAKE_DIRECTORY ${written})
foreach(words "completion bash" "completion zsh" "completion fish" manual)
  string(REPLACE " " "-" file ${words})
  install(CODE "execute_process(COMMAND $<TARGET_FILE:trainyard> ${words} OUTPUT_FILE ${written}/${file} COMMAND_ERROR_IS_FATAL ANY)")
endforeach()
install(FILES ${written}/completion-bash DESTINATION share/bash-completion/completions RENAME trainyard)
install(FILES ${written}/completion-zsh DESTINATION share/zsh/vendor-completions RENAME _trainyard)
install(FILES ${written}/completion-fish DESTINATION share/fish/vendor_completions.d RENAME trainyard.fish)
# Debian wants these two compressed; -n keeps time and name out of the file.
configure_file(${CMAKE_SOURCE_DIR}/CHANGELOG.md ${written}/changelog COPYONLY)
install(CODE "execute_process(COMMAND gzip -9nkf manual changelog WORKING_DIRECTORY ${written} COMMAND_ERROR_IS_FATAL ANY)")
install(FILES ${written}/manual.gz DESTINATION share/man/man1 RENAME trainyard.1.gz)
install(FILES ${written}/changelog.gz DESTINATION share/doc/trainyard)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME trainyard)
set(TRAINYARD_MAINTAINER "Trainyard maintainers <maintainers@localhost>" CACHE STRING "Who answers for the Debian package")
set(CPACK_PACKAGE_CONTACT ${TRAINYARD_MAINTAINER})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "proof-of-stake ledger for verifiable AI training")
set(CPACK_PACKAGE_DESCRIPTION
  "Node, validator, signer and provider of a ledger on which training runs\nare paid for and checked bit for bit.")
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR})
set(CPACK_SET_DESTDIR ON)  # for what goes to /etc
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers, systemd | systemd-standalone-tmpfiles")
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${package}/conffiles ${package}/postinst ${package}/prerm ${package}/postrm)
include(CPack)
