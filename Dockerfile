# The training image from the layers that `millcert image build` (or `nox -s build_images`) lays down in dist/images/.
# It gives the same files as the OCI layouts there, which are what we publish; this file is for those who build their
# own images on top with what they have: docker build, BuildKit, buildah.
#
#   docker build --build-arg VARIANT=cpu --tag wootz .
FROM scratch
ARG VARIANT=cpu
ADD dist/images/${VARIANT}.layers/1-*.tar.gz /
ADD dist/images/${VARIANT}.layers/2-*.tar.gz /
ADD dist/images/${VARIANT}.layers/3-*.tar.gz /
ADD dist/images/${VARIANT}.layers/[4-9]-*.tar.gz /
ENV HOME=/work \
    LANG=C.UTF-8 \
    PATH=/usr/local/bin:/usr/bin \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532:65532
WORKDIR /work
HEALTHCHECK --interval=60s --timeout=30s CMD ["/usr/bin/python3.11", "/usr/local/share/healthcheck.py"]
ENTRYPOINT ["/usr/bin/python3.11"]
