# Builds the data layer for $(PLATFORMS) into $(ARTIFACTS_DIR), as `sam build` asks. What is cut is 51 MiB that Beckon never imports:
# Flight (an RPC server), headers, and the test data of pyarrow and onnx. Substrait stays: `import pyarrow` fails without it.
# A test imports the built layer and writes, reads, computes and checks a graph with it.
build-DataLayer:
	python3.13 -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes --only-binary=:all: \
	  --implementation cp --python-version 3.13 $(PLATFORMS:%=--platform %) --target "$(ARTIFACTS_DIR)/python" -r requirements.txt
	cd "$(ARTIFACTS_DIR)/python" && rm -rf bin pyarrow/tests pyarrow/include pyarrow/src pyarrow/*flight* onnx/backend/test
