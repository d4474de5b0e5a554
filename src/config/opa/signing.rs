//! OPA's `s3_signing`: a service that is S3, or speaks as it does. Its bundles become objects, for which the
//! same requests are made.

use super::Reader;
use super::section::Section;
use crate::bundle::{
    BundleSource, BundleUrl, Credentials, EnvironmentCredentials, ObjectUrl, SourceUrl,
};

/// Ways by which OPA can find keys, and by which they are not found here.
const OTHER_WAYS: [&str; 3] = [
    "profile_credentials",
    "assume_role_credentials",
    "sso_credentials",
];

impl Reader<'_> {
    /// What finds the keys. Puts the object into the source in place of its URL.
    pub(super) fn s3_signing(
        &mut self,
        section: &mut Section,
        source: &mut BundleSource,
    ) -> Option<Credentials> {
        for name in OTHER_WAYS {
            if let Some((path, _)) = section.take(name) {
                let why = "is not supported: of these there are `environment_credentials`, \
                           `web_identity_credentials`, `metadata_credentials`";
                self.wrong(&path, why);
            }
        }
        for (name, known) in [("service", "s3"), ("signature_version", "4")] {
            let given = self.take_text(section, name);
            if given.is_some_and(|given| given != known) {
                let why = format!("only `{known}` is supported");
                self.wrong(&section.path_of(name), &why);
            }
        }
        let of_environment = self.take_section(section, "environment_credentials");
        let mut of_workload = self.take_section(section, "web_identity_credentials");
        let mut of_machine = self.take_section(section, "metadata_credentials");
        let mut regions = Vec::new();
        for given in [&mut of_workload, &mut of_machine].into_iter().flatten() {
            regions.extend(self.take_text(given, "aws_region"));
        }
        let found = [&of_environment, &of_workload, &of_machine];
        if found.iter().all(|given| given.is_none()) {
            self.wrong(&section.path, "says nothing of where the keys are");
        }
        for given in found.into_iter().flatten() {
            self.rest(given);
        }
        if let Some(BundleUrl::Server(url)) = source.url.take() {
            self.object(section, source, &url, regions.into_iter().next());
        }
        Some(Credentials::Environment(EnvironmentCredentials {
            metadata: of_machine.is_some(),
        }))
    }

    fn object(
        &mut self,
        section: &Section,
        source: &mut BundleSource,
        url: &SourceUrl,
        region: Option<String>,
    ) {
        match ObjectUrl::of_s3(url) {
            Some((object, mut store)) => {
                store.region = region;
                source.url = Some(BundleUrl::Object(object));
                source.object_store = Some(store);
            }
            None => self.wrong(
                &section.path,
                "the service's `url` and the resource are none of an object: \
                 `https://BUCKET.s3.REGION.amazonaws.com/PATH` or `https://HOST/BUCKET/PATH`",
            ),
        }
    }
}
